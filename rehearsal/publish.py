"""Putting the files of an entry of params.yaml where its source says that they are."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from genept.downloads import kind_of
from genept.downloads.hosts import geo
from rehearsal import services, troubles
from rehearsal.archives import pack
from rehearsal.services import World
from rehearsal.troubles import Troubles
from tests.downloads.loopback import Answer, Request, ranged

numbers = itertools.count(40_000_001)  # of files at figshare


def publish(
    source: dict[str, Any],
    contents: Mapping[str, bytes],
    world: World,
    trouble: Troubles,
    siblings: Mapping[str, bytes] | None = None,
) -> dict[str, dict[str, str]]:
    """Serve the files of a source at its own addresses, each kind with the troubles that it is known for.

    Parameters
    ----------
    contents
        What each file of the source is; those left out are nowhere.
    siblings
        What else is in its archives, by member.

    Returns
    -------
    What `params.yaml` must say of the files now: ``sha256`` and ``archive_sha256`` by file, where it says them.
    """
    said: dict[str, dict[str, str]] = {}
    for kind in dict.fromkeys(kind_of(source, target) for target in contents):
        items = {target: source["files"][target] for target in contents if kind_of(source, target) == kind}
        mine = {target: contents[target] for target in items}
        archives = KINDS[kind]({**source, "files": items, "siblings": siblings or {}}, mine, world, trouble)
        for target, item in items.items():
            new = {"sha256": digest(contents[target])} if "sha256" in item else {}
            if "archive_sha256" in item:
                new["archive_sha256"] = digest(archives[target])
            if new:
                said[target] = new
    return said


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def grouped(source: dict[str, Any], contents: Mapping[str, bytes], key: Any) -> list[tuple[Any, bytes, list[str]]]:
    """Return per remote file its key, its content (an archive where entries name members) and its targets."""
    groups: dict[Any, list[str]] = {}
    for target, item in source["files"].items():
        groups.setdefault(key(target, item), []).append(target)
    found = []
    for name, targets in groups.items():
        members = {
            str(source["files"][target]["member"]): contents[target]
            for target in targets
            if "member" in source["files"][target]
        }
        file = name[0] if isinstance(name, tuple) else name
        whole = {**source["siblings"], **members}
        content = pack(urlsplit(str(file)).path, whole) if members else contents[targets[0]]
        found.append((name, content, targets))
    return found


def by_http(source: dict[str, Any], contents: Mapping[str, bytes], world: World, trouble: Troubles) -> dict[str, bytes]:
    """Serve files on the web; the first is asked for too often, its connection breaks off."""
    archives: dict[str, bytes] = {}

    def key(target: str, item: dict[str, Any]) -> tuple[str, ...]:
        return (str(item["url"]), *map(str, item.get("mirrors", ())))

    for n, (urls, content, targets) in enumerate(grouped(source, contents, key)):
        archives |= dict.fromkeys(targets, content)
        for url in urls:
            if urlsplit(url).hostname in (services.FIGSHARE, services.NDOWNLOADER):  # which send on to Amazon
                there = f"https://{services.FIGSHARE_FILES}/pfigshare-u-files/{Path(url).name}/{targets[0]}"
                world.redirect(url, there)
                place = world.file(there, content)
            else:
                place = world.file(url, content)
            if n == 0 and url == urls[0]:
                trouble.add(*place, troubles.busy, troubles.reset)
    return archives


def by_geo(source: dict[str, Any], contents: Mapping[str, bytes], world: World, trouble: Troubles) -> dict[str, bytes]:
    """Serve GEO's supplementary files; the first breaks off, and then the server is closed for an hour."""
    archives: dict[str, bytes] = {}

    def key(target: str, item: dict[str, Any]) -> tuple[str, str]:
        accession = str(item.get("accession", source.get("accession")))
        return geo.file_of({**source, "accession": accession, "kind": "geo"}, accession, target), accession

    for n, ((name, accession), content, targets) in enumerate(grouped(source, contents, key)):
        archives |= dict.fromkeys(targets, content)
        place = world.file(geo.address(accession, name), content)
        if n == 0:
            trouble.add(*place, troubles.reset, troubles.closed)
    return archives


def by_zenodo(
    source: dict[str, Any], contents: Mapping[str, bytes], world: World, trouble: Troubles
) -> dict[str, bytes]:
    """Serve a Zenodo record; its list is down once, and then another file comes than the list says."""
    record, archives, listed = str(source["record"]), dict[str, bytes](), []
    base = f"https://{services.ZENODO}/api/records/{record}"
    first = base not in {f"https://{host}{path}" for host, path in world.routes}
    for name, content, targets in grouped(source, contents, lambda target, item: str(item["name"])):
        archives |= dict.fromkeys(targets, content)
        link = f"{base}/files/{quote(name)}/content"
        place = world.file(link, content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        listed.append({"key": name, "checksum": f"md5:{md5}", "size": len(content), "links": {"self": link}})
        if first:
            trouble.add(*place, troubles.altered)
    page = world.say(base, {"id": int(record), "files": listed})
    if first:
        trouble.add(*page, troubles.unavailable)
    return archives


def by_figshare(
    source: dict[str, Any], contents: Mapping[str, bytes], world: World, trouble: Troubles
) -> dict[str, bytes]:
    """Serve a figshare article, whose files lie elsewhere; the list is down once, the first file breaks off."""
    archives, listed = dict[str, bytes](), []
    base = f"https://{services.FIGSHARE}/v2"
    for n, (name, content, targets) in enumerate(grouped(source, contents, lambda target, item: str(item["name"]))):
        archives |= dict.fromkeys(targets, content)
        number = next(numbers)
        there = f"https://{services.FIGSHARE_FILES}/pfigshare-u-files/{number}/{quote(name)}"
        for url in (f"{base}/file/download/{number}", f"https://{services.NDOWNLOADER}/files/{number}"):
            world.redirect(url, there)
        place = world.file(there, content)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        listed.append(
            {
                "id": number,
                "name": name,
                "size": len(content),
                "is_link_only": False,
                "download_url": f"https://{services.NDOWNLOADER}/files/{number}",
                "supplied_md5": md5,
                "computed_md5": md5,
            }
        )
        if n == 0:
            trouble.add(*place, troubles.reset)
    version = f"/versions/{source['version']}" if "version" in source else ""
    trouble.add(*world.say(f"{base}/articles/{source['article']}{version}/files", listed), troubles.unavailable)
    return archives


def by_gdrive(
    source: dict[str, Any], contents: Mapping[str, bytes], world: World, trouble: Troubles
) -> dict[str, bytes]:
    """Serve files of Google Drive; the first of all is over its quota once, and breaks off."""
    for target, item in source["files"].items():
        ident = str(item.get("id") or "1" + digest(f"{source.get('folder')}/{item['name']}".encode())[:32])
        if not item.get("id"):
            world.folders.setdefault(str(source["folder"]), {})[str(item["name"])] = ident
        if not world.drive:
            trouble.add(services.DRIVE_FILES, "/download", troubles.quota, troubles.reset_late)
            trouble.add(services.DRIVE, "/embeddedfolderview" if not item.get("id") else "/uc", troubles.unavailable)
        world.drive[ident] = (str(item.get("name", target)), contents[target])
    return dict(contents)


def by_huggingface(
    source: dict[str, Any], contents: Mapping[str, bytes], world: World, trouble: Troubles
) -> dict[str, bytes]:
    """Serve a commit of a repository; large files lie on another host, and the first of them breaks off."""
    kind = "datasets/" if source.get("repo_type") == "dataset" else ""
    revision = str(source["revision"])
    n_large = 0
    for target, item in source["files"].items():
        url = f"https://{services.HUB}/{kind}{source['repo']}/resolve/{revision}/{quote(str(item['path']))}"
        content, sha256 = contents[target], digest(contents[target])
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()  # as git has it
        headers = {"X-Repo-Commit": revision, "ETag": f'"{blob}"'}
        if not str(item["path"]).endswith((".bin", ".pt", ".safetensors", ".pkl", ".h5ad")):
            world.route(url, hub_small(content, headers))
            continue
        there = f"https://{services.HUB_FILES}/{sha256}"
        world.route(
            url,
            hub_large(
                {**headers, "X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content)), "Location": there}
            ),
        )
        place = world.file(there, content)
        if not n_large:
            trouble.add(*place, troubles.reset)
        n_large += 1
    return dict(contents)


def hub_small(content: bytes, headers: dict[str, str]) -> services.Route:
    return lambda request: ranged(request, content, headers)


def hub_large(headers: dict[str, str]) -> services.Route:
    return lambda request: Answer(302, b"", headers)


def by_scp(source: dict[str, Any], contents: Mapping[str, bytes], world: World, trouble: Troubles) -> dict[str, bytes]:
    """Serve a study of the Single Cell Portal to who has the code; the first file breaks off, and the run ends there.

    The files are signed anew whenever the portal is asked, and only the newest signature is good.
    """
    study, lines, signatures = str(source["study"]), ["--create-dirs", "--compressed"], ["none"]
    for n, (target, item) in enumerate(source["files"].items()):
        url = f"https://{services.BUCKET}/fc-{study.lower()}/{quote(str(item['name']))}"
        place = world.file(url, contents[target])
        world.routes[place] = if_signed(world.routes[place], signatures)
        lines += [f'url="{url}?X-Goog-Signature=SIGNATURE"', f'output="{study}/{item["name"]}"', ""]
        if n == 0:
            trouble.add(*place, troubles.busy, troubles.reset, troubles.closed)

    def settings(request: Request) -> Answer:
        if request.query.get("auth_code") != services.CODE:
            return Answer(401, b"{}")
        signatures.append(f"{len(signatures)}=")
        text = "\n".join(lines).replace("SIGNATURE", quote(signatures[-1]))
        return Answer(200, text.encode(), {"Content-Type": "text/plain"})

    world.route(f"https://{services.PORTAL}/single_cell/api/v1/bulk_download/generate_curl_config", settings)
    return dict(contents)


def if_signed(route: services.Route, signatures: list[str]) -> services.Route:
    """Serve only who has the newest signature."""

    def signed(request: Request) -> Answer:
        good = request.query.get("X-Goog-Signature") == signatures[-1]
        return route(request) if good else Answer(400, b"<Error><Code>ExpiredToken</Code></Error>")

    return signed


def by_wheel(*_: Any) -> dict[str, bytes]:
    """Serve nothing: the package index is the real one."""
    return {}


KINDS = {
    "figshare": by_figshare,
    "gdrive": by_gdrive,
    "geo": by_geo,
    "http": by_http,
    "huggingface": by_huggingface,
    "scp": by_scp,
    "wheel": by_wheel,
    "zenodo": by_zenodo,
}
