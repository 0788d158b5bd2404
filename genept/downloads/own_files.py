"""The user's own files, watched by DVC: links to them in a folder that is an output of the stage that fetches.

DVC knows files of the repository only. It follows these links whenever it compares outputs with ``dvc.lock``, so that
`dvc status` names the stage when the content of a file has changed, wherever on the machine it lies, and `dvc repro`
fetches it again. A file is hashed again only when its size, time or inode changes. Files under ``data/manual`` and
``data/markers`` need no link: these folders are dependencies of the stages.

The folder's list of names is in git, since DVC never restores such an output: without it a fresh clone would run the
stage of every dataset. In a clone without the user's file a copy from the store takes the place of the link.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from genept.core import files
from genept.downloads.config import File
from genept.downloads.hosts.local import Local
from genept.downloads.store import Store

LIST = ".files"
HEADING = "# Files of your own that the settings name, outside of data/manual and data/markers."
DEPENDENCIES = ("data/manual", "data/markers")


def link_own_files(wanted: Mapping[str, File], found: Mapping[str, str], store: Store, folder: Path) -> None:
    """Replace the links of a dataset or model.

    Parameters
    ----------
    found
        The sha256 of each file that was fetched.
    folder
        Replaced as a whole. A file that is nowhere has no link in it, because DVC fails on a link to nothing.
    """
    watched = {
        f"{target}.{number}" if number else target: (target, place.file.absolute())
        for target, file in wanted.items()
        for number, place in enumerate(file.places)
        if isinstance(place, Local) and not is_dependency(place.file)
    }
    with files.replacing_folder(folder) as new:
        for name, (target, path) in watched.items():
            if path.exists():
                link(new / name, path)
            elif target in found:
                store.place(found[target], new / name)
        (new / LIST).write_text("\n".join([HEADING, *watched, ""]), encoding="utf-8")


def is_dependency(path: Path) -> bool:
    """Whether the folder of a file is a dependency of the stages."""
    place = Path(os.path.normpath(path.absolute()))
    return any(place.is_relative_to(Path(folder).absolute()) for folder in DEPENDENCIES)


def link(link: Path, path: Path) -> None:
    """Link a file, or each file of a folder: DVC does not go into a linked folder."""
    for file in [inner for inner in path.rglob("*") if inner.is_file()] if path.is_dir() else [path]:
        name = link / file.relative_to(path)
        name.parent.mkdir(parents=True, exist_ok=True)
        name.symlink_to(file)
