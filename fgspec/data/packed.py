"""The source `packed`, which reads what `fgspec data pack` wrote."""

from pathlib import Path
from typing import Self

from fgspec.data.dataset import Dataset
from fgspec.data.packed_files import RECORD, Contents, read_packed
from fgspec.data.packing import pack
from fgspec.data.places import candidates, is_file, listed, shown
from fgspec.errors import DataError
from fgspec.spec import packed
from fgspec.spec.dataset_info import DatasetInfo
from fgspec.spec.sources import Search, Synthetic


class Packed(packed.Packed):
    """The fields of this source, and how its files are read."""

    def describe(self, search: Search = None) -> DatasetInfo:
        """Describe what was packed; only the record is read."""
        return self._contents(search)[1].info

    def read(self, search: Search = None) -> Dataset:
        """Images [N, H, W, C], read when a batch needs them.

        Raises:
            DataError: a file is missing or damaged, or has changed since it was packed.
        """
        folder, contents = self._contents(search)
        return read_packed(folder, contents, self.verify)

    def _contents(self, search: Search) -> tuple[Path, Contents]:
        places = candidates(self.path, search)
        folder = next((place for place in places if is_file(place / RECORD)), None)
        if folder is None:
            raise DataError(
                f"data.source.path: {shown(self.path)} holds no packed set; looked for {RECORD} in "
                f"{listed(places)}; write it with fgspec data pack SPEC {shown(self.path)}, or "
                "correct the path"
            )
        contents = Contents.read(folder / RECORD)
        if contents.info.label != self.labels:
            raise DataError(
                f"data.source.labels: {folder} has labels of the kind {contents.info.label}, not "
                f"{self.labels}; set data.source.labels: {contents.info.label}"
            )
        return folder, contents

    @classmethod
    def example(cls, folder: Path) -> Self:
        """Pack made-up images of three classes."""
        made_up = Synthetic(image=(6, 5, 2), classes=3, train_examples=24, test_examples=6)
        pack(made_up, folder / "packed")
        return cls(path=str(folder / "packed"))
