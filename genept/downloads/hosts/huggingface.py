"""Files of a repository of the Hugging Face hub: ``repo``, ``revision`` and, per file, ``path`` in the repository.

``revision`` is the 40 digits of a commit, because a branch or a tag can be moved. ``repo_type: dataset`` is for a
repository of the hub's datasets. With ``member``, the file is that member of the archive at ``path``. The environment
may set ``HF_ENDPOINT`` (another hub or mirror), ``HF_TOKEN`` (for repositories that are private or behind terms; sent
to the hub only, never printed) and ``HF_HOME`` (files that are in the hub's own cache there are taken from it).

huggingface_hub says where a file is and which hash it has: its sha256, for a small file git's sha1. The bytes come as
those of every other download, so that half a file is gone on with in the next run. The hub's Xet protocol is not used:
plain HTTP passes any proxy.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from genept.core.errors import Absent, InputError, ParamsError
from genept.downloads import copy, required
from genept.downloads.download import GIT, wrong_hash
from genept.downloads.remote import Remote, get

TYPES = ("model", "dataset")
HASHES = {64: "sha256", 40: GIT}  # by their digits
NO_COMMIT = "the repository has no such commit"
NO_FILE = "that commit has no such file"
NO_REPOSITORY = "the hub has no such repository"


def fetch(source: dict[str, Any], folder: Path) -> None:
    """Download the files into `folder`.

    Raises
    ------
    ParamsError
        If the revision is not a full commit.
    InputError
        If the hub does not give a file.
    """
    repo, revision = required(source, "repo", "revision")
    if not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise ParamsError(
            f"params.yaml: revision {revision!r} of {repo} must be the 40 hexadecimal digits of a commit (in quotes), "
            "which nobody can move; the repository's page has it under 'Files', 'History'"
        )
    kind = str(source.get("repo_type", TYPES[0]))
    if kind not in TYPES:
        raise ParamsError(f"params.yaml: repo_type of {repo} is {' or '.join(TYPES)}, not {kind!r}")
    paths = {target: required(source, "path", target=target)[0] for target in source["files"]}
    whole = {target: path for target, path in paths.items() if "member" not in source["files"][target]}
    cached = {target: found for target, path in whole.items() if (found := in_cache(repo, kind, revision, path))}
    rest = {target: item for target, item in source["files"].items() if target not in cached}
    with online():
        remotes = {path: locate(repo, kind, revision, path) for path in dict.fromkeys(paths[target] for target in rest)}
    get({**source, "files": rest}, folder, {target: remotes[paths[target]] for target in rest})
    for target, found in cached.items():
        with found.open("rb") as stream:
            copy(stream, folder / target, found.stat().st_size)


@contextlib.contextmanager
def online() -> Iterator[None]:
    """Let huggingface_hub use the network, which every stage forbids it."""
    from huggingface_hub import constants
    from huggingface_hub.utils import logging

    before = constants.HF_HUB_OFFLINE, logging.get_verbosity()
    constants.HF_HUB_OFFLINE = False
    logging.set_verbosity_error()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, verbosity = before
        logging.set_verbosity(verbosity)


def in_cache(repo: str, kind: str, revision: str, path: str) -> Path | None:
    """Return where a file is in the cache that ``HF_HOME`` names, if it is there with the hash that it is kept by."""
    from huggingface_hub import errors, try_to_load_from_cache

    home = os.environ.get("HF_HOME")
    if not home:
        return None
    with contextlib.suppress(errors.HFValidationError, ValueError):  # the hub is asked, and says so
        found = try_to_load_from_cache(repo, path, Path(home).expanduser() / "hub", revision, kind)
        if isinstance(found, str):
            whole = Path(found).resolve()
            return None if wrong_hash(whole, named_hash(whole.name)) else whole
    return None


def locate(repo: str, kind: str, revision: str, path: str) -> Remote:
    """Ask the hub where a file is and which hash it has.

    Raises
    ------
    Absent
        If there is no such repository, commit or file.
    InputError
        If the hub does not say.
    """
    import httpx2
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    what = f"{path} of {repo} at {revision[:8]}"
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    try:
        url = hf_hub_url(repo, path, repo_type=kind, revision=revision, endpoint=endpoint)
        found = get_hf_file_metadata(url, token=token() or False, endpoint=endpoint, retry_on_errors=True)
    except (OSError, ValueError, httpx2.HTTPError) as error:
        line = explain(error)
        if line.startswith((NO_COMMIT, NO_FILE, NO_REPOSITORY)):
            raise Absent(f"{what}: {line}", line.partition(";")[0]) from None
        raise InputError(f"{what}: {line}") from None
    if found.commit_hash is None or found.etag is None:
        line = "what answered is not a hub (a login page, a proxy?); check the network and HF_ENDPOINT"
        raise InputError(f"{what}: {line}")
    if found.commit_hash != revision:
        raise InputError(f"{what}: the hub answered with commit {found.commit_hash[:8]}; use another HF_ENDPOINT")
    stated = named_hash(found.etag) or ({} if found.size is None else {"size": str(found.size)})
    headers = (("Authorization", f"Bearer {token()}"),) if token() else ()
    return Remote((url,), PurePosixPath(path).name, tuple(stated.items()), headers)


def named_hash(name: str) -> dict[str, str]:
    """Return the hash that a file is called by on the hub and in its cache; none if it is another name."""
    return {HASHES[len(name)]: name} if re.fullmatch(r"[0-9a-f]{40}([0-9a-f]{24})?", name) else {}


def token() -> str:
    """Return the user's token, empty if there is none."""
    return os.environ.get("HF_TOKEN", "").strip()


def explain(error: Exception) -> str:
    """Say in one line why the hub did not say where a file is, from the exception of huggingface_hub."""
    import httpx2
    from huggingface_hub import errors

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    for link in chain:
        if isinstance(link, errors.HfHubHTTPError):
            return answer(link.response.status_code, link.response.headers.get("X-Error-Code", ""))
        if isinstance(link, errors.HFValidationError):
            return "this cannot be the name of a repository; correct repo in params.yaml"
        if isinstance(link, httpx2.TransportError):
            return "no connection to the hub; check the network, the proxy and HF_ENDPOINT, and run again"
    return " ".join(str(error).split())


def answer(status: int, code: str) -> str:
    """Say in one line what an HTTP error of the hub means; `code` is what it adds in its header ``X-Error-Code``."""
    if code == "RevisionNotFound":
        return f"{NO_COMMIT}; correct the revision in params.yaml"
    if code == "EntryNotFound":
        return f"{NO_FILE}; correct the path in params.yaml"
    if status in (401, 403):
        account = (
            "the account of the token in HF_TOKEN may not read it"
            if token()
            else "make a token that may read it on the hub (Settings, Access Tokens), and set HF_TOKEN to it"
        )
        reason = "the repository is behind terms" if code == "GatedRepo" else "no such repository, or one behind terms"
        return f"the hub refused (HTTP {status}): {reason}; accept them on its page if there are any; {account}"
    if status == 404:
        return f"{NO_REPOSITORY}; correct repo in params.yaml (for a dataset, repo_type: dataset)"
    if status == 429:
        return "the hub says that there were too many requests (HTTP 429); run again later"
    return f"the hub answered with HTTP {status}; run again later"
