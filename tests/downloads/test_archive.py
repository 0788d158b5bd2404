"""Archives from elsewhere: the members that were asked for, and nothing else anywhere."""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import os
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genept.core.errors import InputError
from genept.downloads import archive as _archive
from genept.downloads.archive import extract
from tests.downloads.fetching import tar, zipped

COUNTS = b"gene\tcell1\tcell2\nTP53\t0\t3\n" * 500
CONTENT = {"counts/a.txt": COUNTS, "counts/b.txt": b"second\n", "c.txt": b"", "d/b.txt": b"another b\n"}
ARCHIVE, TARGET = Path("archive"), Path("target.txt")


FORMATS: dict[str, Callable[..., bytes]] = {
    "tar": tar,
    "tar.gz": functools.partial(tar, mode="w:gz"),
    "tar.bz2": functools.partial(tar, mode="w:bz2"),
    "tar.xz": functools.partial(tar, mode="w:xz"),
    "zip": zipped,
}


def special(kind: bytes, link: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname, info.size = kind, link, size
    return info


def extracted(content: bytes, member: str) -> bytes:
    ARCHIVE.write_bytes(content)
    extract(ARCHIVE, "archive", {TARGET: member})
    assert {path.name for path in Path().resolve().parent.rglob("*")} == {"project", "archive", "target.txt"}
    return TARGET.read_bytes()


def refused(content: bytes, member: str, text: str, name: str = "archive.tar") -> None:
    """Assert one clear line, and that nothing but the archive was written anywhere around."""
    ARCHIVE.write_bytes(content)
    TARGET.unlink(missing_ok=True)
    with pytest.raises(InputError) as caught:
        extract(ARCHIVE, name, {TARGET: member})
    assert text in caught.value.message
    assert caught.value.message.startswith(f"{name}: ")
    assert "\n" not in caught.value.message
    assert sorted(path.name for path in Path().resolve().parent.rglob("*") if path.is_file()) in (
        ["archive"],
        ["archive", "target.txt"],  # begun in a folder that is thrown away
    )


@pytest.mark.parametrize("form", FORMATS)
def test_members_come_out_and_nothing_else(form: str) -> None:
    ARCHIVE.write_bytes(FORMATS[form]({**CONTENT, "./GSM1_a.txt.gz": b"dot"}))
    members = {"one": "counts/b.txt", "two": "a.txt", "three": "c.txt", "four": "./counts//b.txt", "5": "GSM1_a.txt.gz"}
    extract(ARCHIVE, f"archive.{form}", {Path(target): member for target, member in members.items()})
    found = {path.name: path.read_bytes() for path in Path().iterdir() if path != ARCHIVE}
    assert found == {"one": b"second\n", "two": COUNTS, "three": b"", "four": b"second\n", "5": b"dot"}
    for name in found:
        Path(name).unlink()
    refused(FORMATS[form]({}), "a.txt", "neither" if form == "tar" else "has no member 'a.txt'")


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_path_is_found_in_any_folder_if_it_is_the_only_one_that_ends_so(form: str) -> None:
    files = {"run/outs/matrix/a.txt": COUNTS, "run/raw/a.txt": b"raw", "x/raw/a.txt": b"other", "y/outs_a.txt": b""}
    content = FORMATS[form](files)
    assert extracted(content, "outs/matrix/a.txt") == COUNTS
    refused(content, "raw/a.txt", "has no member 'raw/a.txt'; the nearest: 'run/raw/a.txt', 'x/raw/a.txt'")
    refused(content, "b/a.txt", "has no member 'b/a.txt'; the nearest: 'run/outs/matrix/a.txt'")
    refused(content, "uts/matrix/a.txt", "has no member 'uts/matrix/a.txt'")


def test_of_two_members_with_one_name_the_later_counts() -> None:
    assert extracted(tar({"a": b"first"})[:1024] + tar({"a": b"second"}), "a") == b"second"


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_file_that_is_compressed_alone_is_its_own_member(compress: Callable[[bytes], bytes]) -> None:
    refused(compress(COUNTS), "a.txt", "has no member 'a.txt'; the nearest: 'counts.txt'", "counts.txt.gz")
    extract(ARCHIVE, "counts.txt.gz", {TARGET: "counts.txt", Path("again"): "counts.txt"})
    assert TARGET.read_bytes() == Path("again").read_bytes() == COUNTS


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "C:\\evil"])
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_names_that_lead_elsewhere_lead_nowhere(form: str, name: str) -> None:
    """No name in an archive is a path: even a member asked for by such a name goes where the caller says."""
    content = FORMATS[form]({name: b"evil", "good": b"good"})
    assert (extracted(content, "good"), extracted(content, name)) == (b"good", b"evil")


def test_links_devices_and_folders_are_no_files_and_lead_nowhere() -> None:
    link, folder = zipfile.ZipInfo("x"), zipfile.ZipInfo("y/")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for member in ("x", "y"):
        refused(zipped({link: b"/etc/passwd", folder: b""}), member, "is a link, a folder or a device, not a file")
    types = ("SYMTYPE", "LNKTYPE", "CHRTYPE", "BLKTYPE", "FIFOTYPE", "DIRTYPE")
    for kind in (getattr(tarfile, name) for name in types):
        content = tar({"x": special(kind, str(Path("..").absolute())), "x/good": b"good"})
        refused(content, "x", "its member 'x' is a link, a folder or a device, not a file")
        assert extracted(content, "x/good") == b"good"


@pytest.mark.parametrize(
    ("offset", "value", "text"),
    [(6, 1, "its member a has a password"), (8, 97, "its compression is not known here")],
)
def test_what_zip_cannot_read_is_said(offset: int, value: int, text: str) -> None:
    content = bytearray(zipped({"a": b"a"}))
    content[content.index(b"PK\x03\x04") + offset] = value
    content[content.index(b"PK\x01\x02") + offset + 2] = value
    refused(bytes(content), "a", text)


@pytest.mark.parametrize("form", ["tar.gz", "tar.bz2", "tar.xz", "zip", "gz"])
def test_a_bomb_is_not_set_off(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_archive, "SLACK", 1 << 16)
    monkeypatch.setattr(_archive, "MAX_RATIO", 50)
    zeros = bytes(4 << 20)
    content = gzip.compress(zeros) if form == "gz" else FORMATS[form]({"zeros": zeros, "good": b"good"})
    refused(content, "zeros", "unpacks to more than", "zeros.gz")
    assert not TARGET.exists() or TARGET.stat().st_size < 2 << 20
    if form.startswith("tar."):  # where it is unpacked on the way to the member
        refused(content, "good", "unpacks to more than")


def test_what_a_tar_announces_is_not_believed() -> None:
    """Headers of a terabyte: of a file, of a file with holes, of an extended header."""
    huge = 1 << 40
    for kind in (tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE):
        refused(tar({"x": special(kind, size=huge)}), "x", "unpacks to more than")
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        info = special(kind, size=huge)
        header = info.create_gnu_header(info.get_info(), "utf-8", "surrogateescape")
        refused(header + bytes(10240), "x", "damaged (a header of 1099511627776 bytes)")


def test_a_tar_without_end_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A negative size sends the reader back to the same header for ever (CVE-2025-8194); so do many empty members."""
    monkeypatch.setattr(_archive, "MAX_MEMBERS", 50)
    info = tarfile.TarInfo("x")
    header = bytearray(info.create_gnu_header(info.get_info(), "utf-8", "surrogateescape"))
    header[124:136] = b"\xff" * 10 + (65536 - 512).to_bytes(2, "big")  # a size of -512
    header[148:156] = b"%06o\0 " % sum(header[:148] + b" " * 8 + header[156:])
    refused(bytes(header) + bytes(1024), "y", "")
    refused(tar({f"{number:03}": b"" for number in range(51)}), "000", "has more than 50 members")


@pytest.mark.parametrize("form", FORMATS)
def test_a_damaged_archive_is_said(form: str) -> None:
    content = FORMATS[form]({"a.txt": os.urandom(100_000), "b.txt": os.urandom(100_000)})
    refused(content[: len(content) * 3 // 4], "b.txt", "run again: it is downloaded anew")
    if form != "tar":  # which has no checksum of its content
        flipped = bytearray(FORMATS[form]({"a.txt": os.urandom(100_000)}))
        flipped[len(flipped) // 2] ^= 1
        refused(bytes(flipped), "a.txt", "damaged (")
    if form == "zip":
        shorter = bytearray(zipped({"a.txt": bytes(1 << 20)}))
        at = shorter.index(b"PK\x01\x02") + 24
        shorter[at : at + 4] = (10).to_bytes(4, "little")  # it announces less than it holds
        refused(bytes(shorter), "a.txt", "damaged (Bad CRC-32")


@pytest.mark.parametrize("content", [b"", b"<html>" * 200, COUNTS, b"7z\xbc\xaf\x27\x1c" + bytes(1000), bytes(100)])
def test_what_is_no_archive_is_said(content: bytes) -> None:
    refused(content, "a.txt", "neither a tar, nor a zip, nor a gz file")


SMALL = {form: write({"a": b"first " * 40, "b/c": b"second"}) for form, write in FORMATS.items()}
SMALL["gz"] = gzip.compress(b"alone " * 40)
SMALL["zip of bz2"] = zipped({"a": b"first " * 40}, zipfile.ZIP_BZIP2)


@settings(max_examples=150)
@given(st.sampled_from(sorted(SMALL)), st.data())
def test_any_damage_is_one_line_or_does_no_harm(form: str, data: st.DataObject) -> None:
    content = bytearray(SMALL[form])
    spots = st.integers(0, min(len(content), 2048) - 1)
    for spot, value in data.draw(st.lists(st.tuples(spots, st.integers(0, 255)), max_size=4)):
        content[spot] = value
    del content[data.draw(st.integers(0, len(content))) :]
    with tempfile.TemporaryDirectory() as folder:
        archive, target = Path(folder) / "archive", Path(folder) / "target"
        archive.write_bytes(content)
        try:
            extract(archive, "a.gz", {target: "a"})
        except InputError as error:
            assert "\n" not in error.message
        assert {path.name for path in Path(folder).iterdir()} <= {"archive", "target"}
