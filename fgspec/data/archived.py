"""Data sets published as one tar archive, read from the archive or from its unpacked folder."""

import gzip
import io
import tarfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fgspec.data.places import first_holding, is_dir, is_file, published_places
from fgspec.data.published import Publication, check_md5, damage_reported, missing
from fgspec.data.unpacking import TOO_MANY, Bounded, most_unpacked, refuse_beyond_memory
from fgspec.spec.sources import Search

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Archive:
    """A published archive.

    Attributes:
        file: the name of the archive.
        file_md5: the MD5 digest of the archive.
        folder: the name of the folder in it.
        files: the names of the files that are read, in order.
        md5: the MD5 digests of the unpacked files, where they are published.
        fold: how many bytes one compressed byte may unpack to, at most.
    """

    file: str
    file_md5: str
    folder: str
    files: tuple[str, ...]
    md5: Mapping[str, str] = field(default_factory=dict)
    fold: int = 20

    def at(self, place: Path) -> Path | None:
        """The unpacked folder or the archive at or in a place; None if there is neither."""
        for folder in (place / self.folder, place):
            if folder.name == self.folder and is_dir(folder):
                return folder
        for file in (place / self.file, place):
            if file.name == self.file and is_file(file):
                return file
        return None


@dataclass(frozen=True)
class Opened:
    """What was read from an archive.

    Attributes:
        archive: which of the published archives it is.
        place: the path of the archive, or of its unpacked folder.
        contents: the bytes of its files, by file name.
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
    """Read the files of the first published archive that is found, unpacked or not.

    Args:
        publication: the data set; its `source` names the usual folder.
        archives: the published archives, the preferred ones first.
        path: the path in the spec: of the archive, of its unpacked folder, or of a folder that
            holds one of them. None means the usual folders.
        search: the folders in which a relative path is looked for.
        verify: whether MD5 digests must be the published ones.
        wanted: the names of the files to read; None means all.

    Raises:
        DataError: no archive was found, or a file is missing, damaged or not the published one.
    """
    places = published_places(path, publication.source, search)
    holder = first_holding(path, places, (), lambda place: recognized(archives, place))
    if holder is None:
        # Another tool may have unpacked archives into $FGSPEC_DATA itself.
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
    """Whether a place is, or contains, one of these archives or its unpacked folder."""
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
        unpacked: Any = Bounded(stream, most, TOO_MANY)
        # Members are read in the archive's order: going back in a gzip stream would unpack it
        # from its start again.
        with tarfile.open(fileobj=unpacked, mode="r|") as members:
            for member in members:
                name = PurePosixPath(member.name)
                if name.parent.name == archive.folder and name.name in files:
                    contents[name.name] = _member(members, member)
        # Read on to the end of the gzip stream, where its checksum is: the tar ends before it.
        while unpacked.read(_CHUNK):
            pass
        absent = [name for name in files if name not in contents]
        if absent:
            raise ValueError(f"it does not contain {archive.folder}/{absent[0]}")
    return {name: contents[name] for name in files}


def _member(members: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    # A sparse file can claim any length while it takes up a few bytes.
    if not member.isreg() or member.issparse():
        raise ValueError(f"its member {member.name} is not a regular file")
    content = members.extractfile(member)
    return content.read() if content is not None else b""
