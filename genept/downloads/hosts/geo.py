"""``kind: geo``. Supplementary files of GEO: ``accession`` (such as GSE155468) and, per file, ``name`` or ``member``.

``name`` is a supplementary file; ``member`` is one of an archive's members, the archive being ``name``, or
``<accession>_RAW.tar`` where no name is given. The variable GEO_URL replaces ``https://ftp.ncbi.nlm.nih.gov``.
"""

from __future__ import annotations

import os
from typing import Annotated, Literal, Self
from urllib.parse import quote

from pydantic import Field, model_validator

from genept.downloads.place import WebPlace
from genept.downloads.store import Remote, Store

FOLDERS = {"GSE": "series", "GSM": "samples"}


class Geo(WebPlace):
    """A supplementary file of a GEO series or sample, or a member of one."""

    kind: Literal["geo"]
    accession: Annotated[str, Field(pattern=r"^(GSE|GSM)\d+$")]
    name: str | None = None

    @model_validator(mode="after")
    def check(self) -> Self:
        """Check that something names the file."""
        if self.name is None and self.member is None:
            raise ValueError("name or member is missing")
        return self

    @property
    def archive(self) -> Self | None:
        """See `Place.archive`."""
        archive = super().archive
        return archive and archive.model_copy(update={"name": self.name or f"{self.accession}_RAW.tar"})

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        base = os.environ.get("GEO_URL", "https://ftp.ncbi.nlm.nih.gov").rstrip("/")
        letters, digits = self.accession[:3], self.accession[3:]
        folder = f"{FOLDERS[letters]}/{letters}{digits[:-3]}nnn"  # a thousand accessions in one, GSE155nnn
        return Remote((f"{base}/geo/{folder}/{self.accession}/suppl/{quote(self.name or '')}",))
