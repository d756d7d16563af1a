"""Sets that were published as one tar archive: read from it, or from the folder it unpacks to."""

import gzip
import io
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fgspec.data.places import first_holding, is_dir, is_file, published_places
from fgspec.data.published import Publication, check_md5, damage_reported, missing
from fgspec.data.unpacking import Bounded, most_unpacked, refuse_beyond_memory
from fgspec.spec.sources import Search

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A published archive.

    Attributes:
        file: its name.
        file_md5: its md5.
        folder: name of the folder in it.
        files: names of the files that are read, in order.
        md5: md5 of the unpacked files, as far as published.
        fold: bytes that one compressed byte may become.
    """

    file: str
    file_md5: str
    folder: str
    files: tuple[str, ...]
    md5: Mapping[str, str] = field(default_factory=dict)
    fold: int = 20

    def at(self, place: Path) -> Path | None:
        """The unpacked folder or the archive that a place is, or holds; None if it is neither."""
        for found in (place / self.folder, place):
            if found.name == self.folder and is_dir(found):
                return found
        for found in (place / self.file, place):
            if found.name == self.file and is_file(found):
                return found
        return None


@dataclass(frozen=True)
class Opened:
    """What was read of an archive.

    Attributes:
        archive: which of the published ones.
        place: of its folder or of itself.
        contents: of its files, by name.
    """

    archive: Archive
    place: Path
    contents: Mapping[str, bytes]


def open_archive(
    publication: Publication,
    archives: Sequence[Archive],
    path: str | None,
    search: Search,
    verify: bool,
    wanted: Collection[str] | None = None,
) -> Opened:
    """The files of the first of the published archives that is there, unpacked or not.

    Args:
        publication: of the set; its `source` names the usual folder.
        archives: that were published, the preferred ones first.
        path: that the spec names, of the archive, its folder, or a folder that holds one of them;
            None for the usual folders.
        search: folders for a relative path.
        verify: whether md5 digests must be the published ones.
        wanted: names of the files that are read; None for all.

    Raises:
        DataError: there is none, or a file is missing, damaged or not the published one.
    """
    places = published_places(path, publication.source, search)
    holder = first_holding(path, places, (), lambda place: recognized(archives, place))
    if holder is None:
        # $FGSPEC_DATA itself may be where another tool unpacked archives.
        holder = first_holding(path, (), ("",), lambda place: recognized(archives, place))
    if holder is None:
        names = ", ".join(f"{archive.file} or {archive.folder}/" for archive in archives)
        md5 = ", ".join(f"{archive.file_md5} of {archive.file}" for archive in archives)
        raise missing(publication, f"any of {names}", places, md5)
    archive, place = next(
        (archive, found) for archive in archives if (found := archive.at(holder)) is not None
    )
    files = [name for name in archive.files if wanted is None or name in wanted]
    read = _from_folder if place.is_dir() else _from_archive
    return Opened(archive, place, read(publication, place, archive, files, verify))


def recognized(archives: Sequence[Archive], place: Path) -> bool:
    """Whether a place is one of these archives or folders, or holds one."""
    return any(archive.at(place) is not None for archive in archives)


def _from_folder(
    publication: Publication, folder: Path, archive: Archive, files: Sequence[str], verify: bool
) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    for name in files:
        file, md5 = folder / name, archive.md5.get(name)
        if not is_file(file):
            raise missing(publication, name, [folder], md5)
        with damage_reported(publication, file, md5):
            refuse_beyond_memory(file.stat().st_size)
            contents[name] = file.read_bytes()
        if verify and md5:
            check_md5(publication, file, contents[name], md5)
    return contents


def _from_archive(
    publication: Publication, file: Path, archive: Archive, files: Sequence[str], verify: bool
) -> dict[str, bytes]:
    with damage_reported(publication, file, archive.file_md5):
        refuse_beyond_memory(file.stat().st_size)
        packed = file.read_bytes()
    if verify:
        check_md5(publication, file, packed, archive.file_md5)
    contents: dict[str, bytes] = {}
    with damage_reported(publication, file, archive.file_md5):
        stream = gzip.GzipFile(fileobj=io.BytesIO(packed))
        most = most_unpacked(len(packed), archive.fold)
        unpacked: Any = Bounded(stream, most, "and no images do")
        # In the archive's own order: going back in a gzip stream means unpacking it again.
        with tarfile.open(fileobj=unpacked, mode="r|") as members:
            for member in members:
                name = PurePosixPath(member.name)
                if name.parent.name == archive.folder and name.name in files:
                    contents[name.name] = _member(members, member)
        # A tar ends before its gzip stream does, whose end holds the checksum of all before it.
        while unpacked.read(_CHUNK):
            pass
        absent = [name for name in files if name not in contents]
        if absent:
            raise ValueError(f"it lacks {archive.folder}/{absent[0]}")
    return {name: contents[name] for name in files}


def _member(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    # A sparse file of a few bytes may say that it is as long as it likes.
    if not member.isreg() or member.issparse():
        raise ValueError(f"{member.name} in it is no plain file")
    content = members.extractfile(member)
    return content.read() if content is not None else b""
