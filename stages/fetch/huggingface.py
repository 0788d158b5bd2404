"""Files of a repository of the Hugging Face hub: ``repo``, ``revision`` and, per file, ``path`` in the repository.

``revision`` is the 40 digits of a commit, because a branch or a tag can be moved. ``repo_type: dataset`` is for a
repository of the hub's datasets. The environment may set ``HF_ENDPOINT`` (another hub or mirror), ``HF_TOKEN`` (for
repositories that are private or behind terms; never printed) and ``HF_HOME`` (then the hub's own cache there is used,
else a folder of unfinished downloads in this repository, removed when all files are there).

A connection that breaks off is resumed, up to five times without progress; files that are whole stay for the next run.
The part of a file that is there when the process ends is lost: huggingface_hub 2.4 removes it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages import files
from stages.errors import InputError, ParamsError
from stages.fetch import PARTIAL, copy, required

TYPES = ("model", "dataset")


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
    home = os.environ.get("HF_HOME")
    own = PARTIAL / "huggingface" / f"{repo.replace('/', '--')}-{revision}"
    cache = Path(home).expanduser() / "hub" if home else own
    with online():
        got = {target: download(repo, kind, revision, path, cache) for target, path in paths.items()}
    for target, found in got.items():
        with found.open("rb") as stream:
            copy(stream, folder / target, found.stat().st_size)
    if cache == own:
        shutil.rmtree(own)


@contextlib.contextmanager
def online() -> Iterator[None]:
    """Let huggingface_hub use the network, which every stage forbids it.

    Its Xet protocol is off: by plain HTTP a download passes any proxy, and nothing is written outside the cache folder.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import logging

    before = constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET, logging.get_verbosity()
    constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET = False, True
    logging.set_verbosity_error()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, constants.HF_HUB_DISABLE_XET, verbosity = before
        logging.set_verbosity(verbosity)


def download(repo: str, kind: str, revision: str, path: str, cache: Path) -> Path:
    """Download one file into the cache and return its path there.

    The hub names a large file by its sha256; one that has another is not kept.
    """
    import httpx2
    from huggingface_hub import hf_hub_download

    what = f"{path} of {repo} at {revision[:8]}"
    try:
        found = Path(
            hf_hub_download(
                repo,
                path,
                repo_type=kind,
                revision=revision,
                cache_dir=cache,
                endpoint=os.environ.get("HF_ENDPOINT", "").rstrip("/") or None,
                token=token() or False,
            )
        )
    except (OSError, ValueError, httpx2.HTTPError) as error:
        if isinstance(error, OSError) and error.errno:
            raise  # the disk, not the hub
        raise InputError(f"{what}: {explain(error)}") from None
    whole = found.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", whole.name) and files.sha256(whole) != whole.name:
        whole.unlink()
        found.unlink(missing_ok=True)
        raise InputError(f"{what}: damaged on the way (the hub names another sha256) and not kept; run again")
    return whole


def token() -> str:
    """Return the user's token, empty if there is none."""
    return os.environ.get("HF_TOKEN", "").strip()


def explain(error: Exception) -> str:
    """Say in one line why the hub did not give a file, from the exception of huggingface_hub.

    The last thing that it says is that its cache does not have the file either; the reason is in the chain behind it.
    """
    import httpx2
    from huggingface_hub import errors

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    for link in chain:
        if isinstance(link, errors.HfHubHTTPError):
            return answer(link.response.status_code, link.response.headers.get("X-Error-Code", ""))
        if isinstance(link, errors.FileMetadataError):
            return "what answered is not a hub (a login page, a proxy?); check the network and HF_ENDPOINT"
        if isinstance(link, errors.HFValidationError):
            return "this cannot be the name of a repository; correct repo in params.yaml"
        if isinstance(link, httpx2.TransportError):
            return "no connection to the hub; check the network, the proxy and HF_ENDPOINT, and run again"
        if "Consistency check failed" in str(link):
            return "the download was cut short; run again"
    return " ".join(str(error).split())


def answer(status: int, code: str) -> str:
    """Say in one line what an HTTP error of the hub means; `code` is what it adds in its header ``X-Error-Code``."""
    if code == "RevisionNotFound":
        return "the repository has no such commit; correct the revision in params.yaml"
    if code == "EntryNotFound":
        return "that commit has no such file; correct the path in params.yaml"
    if status in (401, 403):
        account = (
            "the account of the token in HF_TOKEN may not read it"
            if token()
            else "make a token that may read it on the hub (Settings, Access Tokens), and set HF_TOKEN to it"
        )
        reason = "the repository is behind terms" if code == "GatedRepo" else "no such repository, or one behind terms"
        return f"the hub refused (HTTP {status}): {reason}; accept them on its page if there are any; {account}"
    if status == 404:
        return "the hub has no such repository; correct repo in params.yaml (for a dataset, repo_type: dataset)"
    if status == 429:
        return "the hub says that there were too many requests (HTTP 429); run again later"
    return f"the hub answered with HTTP {status}; run again later"
