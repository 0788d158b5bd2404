"""``kind: huggingface``. Files of a repository of the hub: ``repo``, ``revision`` and, per file, ``path``.

``revision`` is the 40 digits of a commit, because a branch or a tag can be moved. ``repo_type: dataset`` is for a
repository of the hub's datasets. With ``member``, the file is that member of the archive at ``path``. The environment
may set ``HF_ENDPOINT`` (another hub or mirror), ``HF_TOKEN`` (for repositories that are private or behind terms; sent
to the hub only, never printed) and ``HF_HOME`` (files in the hub's own cache there are not downloaded).

The bytes come by plain HTTP, because huggingface_hub starts a download that broke off again from its first byte.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote

from pydantic import AfterValidator, Field

from genept.core import files
from genept.downloads.place import WebPlace
from genept.downloads.store import Remote, Store


def check_commit(revision: str) -> str:
    """Refuse what can be moved; for pydantic."""
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError(
            f"{revision!r} must be the 40 hexadecimal digits of a commit, which nobody can move; the repository's page "
            "has it under 'Files', 'History'"
        )
    return revision


class HuggingFace(WebPlace):
    """A file of a repository of the Hugging Face hub."""

    kind: Literal["huggingface"]
    repo: Annotated[str, Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")]
    revision: Annotated[str, AfterValidator(check_commit)]
    repo_type: Literal["model", "dataset"] = "model"
    path: str

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        hub = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
        repo = f"datasets/{self.repo}" if self.repo_type == "dataset" else self.repo
        token = os.environ.get("HF_TOKEN", "").strip()
        way = "the account of the token in HF_TOKEN may not read it" if token else "set HF_TOKEN to a token"
        refused = (
            "the repository does not exist, is private or is behind terms",
            f"check its name, accept its terms on {hub}/{repo}, if any; {way}",
        )
        url = f"{hub}/{repo}/resolve/{self.revision}/{quote(self.path)}"
        headers = (("Authorization", f"Bearer {token}"),) if token else ()
        return Remote((url,), headers=headers, refused=refused)

    def get(self, store: Store, sha256: str | None) -> tuple[Path, str]:
        """Download the file, or take it from the cache that HF_HOME names if it has the sha256 that it must have."""
        if home := os.environ.get("HF_HOME"):
            from huggingface_hub import try_to_load_from_cache

            cache, cached = Path(home).expanduser() / "hub", None
            with contextlib.suppress(ValueError):  # of a name that no repository can have
                cached = try_to_load_from_cache(self.repo, self.path, cache, self.revision, self.repo_type)
            if isinstance(cached, str) and files.sha256(Path(cached)) in (sha256, Path(cached).resolve().name):
                found = store.add_copy(Path(cached))
                return store.path(found), found
        return super().get(store, sha256)
