"""``kind: huggingface``. Files of a repository of the hub: ``repo``, ``revision`` and, per file, ``path``.

``revision`` is the 40 digits of a commit, because a branch or a tag can be moved. ``repo_type: dataset`` is for a
repository of the hub's datasets. With ``member``, the file is that member of the archive at ``path``. The environment
may set ``HF_ENDPOINT`` (another hub or mirror), ``HF_TOKEN`` (for repositories that are private or behind terms; sent
to the hub only, never printed) and ``HF_HOME`` (files in the hub's own cache there are not downloaded).

huggingface_hub says where a file is and which sha256 it has. The bytes come as those of every other download, by plain
HTTP: huggingface_hub 2.4 starts a download that broke off again from its first byte, also within a run (measured).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator

from genept.core import files
from genept.core.errors import InputError, NotFoundAtSource
from genept.downloads.place import WebPlace

if TYPE_CHECKING:
    from genept.downloads.store import Store
    from genept.downloads.web import Remote


def check_commit(revision: str) -> str:
    """Refuse what can be moved."""
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError(
            f"{revision!r} must be the 40 hexadecimal digits of a commit, which nobody can move; the repository's page "
            "has it under 'Files', 'History'"
        )
    return revision


class HuggingFace(WebPlace):
    """A file of a repository of the Hugging Face hub."""

    kind: Literal["huggingface"]
    repo: str
    revision: Annotated[str, AfterValidator(check_commit)]
    repo_type: Literal["model", "dataset"] = "model"
    path: str

    def remote(self, store: Store) -> Remote:
        """Ask the hub where the file is and which sha256 it has; of a small file the hub says none."""
        import httpx2
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        from genept.downloads.web import Remote

        what = f"{self.path} of {self.repo} at {self.revision[:8]}"
        endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
        try:
            with online():
                url = hf_hub_url(
                    self.repo, self.path, repo_type=self.repo_type, revision=self.revision, endpoint=endpoint
                )
                found = get_hf_file_metadata(url, token=token() or False, endpoint=endpoint, retry_on_errors=True)
        except (OSError, ValueError, httpx2.HTTPError) as error:
            raise refused(what, error) from None
        if found.commit_hash != self.revision:
            raise InputError(f"{what}: what answered is no hub with this commit; check the network and HF_ENDPOINT")
        etag = found.etag or ""
        stated = ("sha256", etag) if re.fullmatch("[0-9a-f]{64}", etag) else None
        return Remote((url,), stated, headers=(("Authorization", f"Bearer {token()}"),) if token() else ())

    def get(self, store: Store, sha256: str | None) -> tuple[Path, str]:
        """Download the file, or take it from the cache that HF_HOME names if it has the sha256 that it must have."""
        from huggingface_hub import errors, try_to_load_from_cache

        if home := os.environ.get("HF_HOME"):
            cache = Path(home).expanduser() / "hub"
            cached = None
            with contextlib.suppress(errors.HFValidationError):  # the hub is asked, and says so
                cached = try_to_load_from_cache(self.repo, self.path, cache, self.revision, self.repo_type)
            if isinstance(cached, str) and files.sha256(Path(cached)) in (sha256, Path(cached).resolve().name):
                found = store.add_copy(Path(cached))
                return store.path(found), found
        return super().get(store, sha256)


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
        constants.HF_HUB_OFFLINE = before[0]
        logging.set_verbosity(before[1])


def token() -> str:
    """Return the user's token, empty if there is none."""
    return os.environ.get("HF_TOKEN", "").strip()


def refused(what: str, error: Exception) -> InputError:
    """Return the error in one line for an exception of huggingface_hub."""
    import httpx2
    from huggingface_hub import errors

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) and cause not in chain:
        chain.append(cause)
    absent = {
        errors.RevisionNotFoundError: "the repository has no such commit",
        errors.RemoteEntryNotFoundError: "that commit has no such file",
    }
    for link in chain:
        if isinstance(link, errors.HfHubHTTPError):
            status = link.response.status_code
            if status in (401, 403):
                terms = "is behind terms" if isinstance(link, errors.GatedRepoError) else "does not exist or is private"
                way = "the account of the token in HF_TOKEN may not read it" if token() else "set HF_TOKEN to a token"
                return InputError(
                    f"{what}: the hub refused (HTTP {status}): the repository {terms}; accept its terms, if any; {way}"
                )
            reason = absent.get(type(link), "the hub has no such repository")
            if status == 404:
                return NotFoundAtSource(f"{what}: {reason}; correct it in the settings", reason)
            return InputError(f"{what}: the hub answered with HTTP {status}; run again later")
        if isinstance(link, errors.HFValidationError):
            return InputError(f"{what}: this cannot be the name of a repository; correct repo in the settings")
        if isinstance(link, httpx2.TransportError):
            return InputError(f"{what}: no connection to the hub; check the network, the proxy and HF_ENDPOINT")
    return InputError(f"{what}: {' '.join(str(error).split())}")
