"""``kind: http``. Files on the web: per file ``url`` and ``mirrors``, further addresses of the same file.

With ``member``, the address is that of an archive (tar, zip or gz), and the file is that member of it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from genept.downloads.place import Address, WebPlace
from genept.downloads.store import Remote, Store


class Http(WebPlace):
    """A file on the web."""

    kind: Literal["http"]
    url: Address
    mirrors: Annotated[tuple[Address, ...], Field(strict=False)] = ()

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        return Remote((self.url, *self.mirrors))
