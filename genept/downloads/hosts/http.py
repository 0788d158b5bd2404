"""``kind: http``. Files on the web: per file ``url`` and ``mirrors``, further addresses of the same file.

With ``member``, the address is that of an archive (tar, zip or gz), and the file is that member of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from genept.downloads.place import Address, WebPlace

if TYPE_CHECKING:
    from genept.downloads.store import Store
    from genept.downloads.web import Remote


class Http(WebPlace):
    """A file on the web."""

    kind: Literal["http"]
    url: Address
    mirrors: tuple[Address, ...] = Field((), strict=False)

    def remote(self, store: Store) -> Remote:
        """Return the address of the file or archive."""
        from genept.downloads.web import Remote

        return Remote((self.url, *self.mirrors))
