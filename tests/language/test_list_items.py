"""Items of lists are fields like others: set by number, each with the place of its value."""

import pytest

from fgspec.loading.spec_file import load
from fgspec.problems.problems import SpecError

SPEC = """\
fgspec: 1
name: a
training: {epochs: 2}
architecture:
  type: chain
  blocks:
    - [{type: dense, channels: 16}]
    - [{type: full, channels: 32}, {type: full, channels: 8}]
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text(SPEC)
    return "a.yaml"


@pytest.mark.parametrize(
    "path", ["blocks.1.0.channels", "blocks[1][0].channels", "blocks[1].0.channels"]
)
def test_one_item_is_set_and_the_others_stay(file, path):
    blocks = load(file, [f"architecture.{path}=64"]).experiment.architecture.blocks
    assert [[layer.channels for layer in block] for block in blocks] == [[16], [64, 8]]


def test_a_whole_item_is_set(file):
    sets = [
        "architecture.blocks.0=[{type: full, channels: 4}]",
        "architecture.blocks[1][1].channels=9",
    ]
    blocks = load(file, sets).experiment.architecture.blocks
    assert [[layer.channels for layer in block] for block in blocks] == [[4], [32, 9]]


def test_places_of_items_are_those_of_what_set_them(file):
    loaded = load(file, ["architecture.blocks.1.0.channels=64"])
    place = {path[2:]: str(origin) for path, origin in loaded.origins.items() if "blocks" in path}
    assert place[1, 0, "channels"] == "--set"
    row, column = SPEC.splitlines()[7], "channels: 8"
    assert place[1, 1, "channels"] == f"a.yaml:8:{row.index(column) + 1}"
    assert place[0, 0, "channels"].startswith("a.yaml:7:")


def test_overrides_say_again_what_was_set(file):
    loaded = load(file, ["architecture.blocks[1][0].channels=64"])
    assert load(file, loaded.overrides).values() == loaded.values()


AT = "architecture.blocks"
NO_LIST = "is not a list in this spec, so it has no item 0; set the whole list"
MISTAKES = {
    f"{AT}.2.0.channels=1": f"{AT}: is a list; its items are numbered 0 to 1 (got 2)",
    f"{AT}.0.1.channels=1": f"{AT}[0]: is a list; its only item is 0 (got 1)",
    f"{AT}.channels=1": f"{AT}: is a list; its items are numbered 0 to 1 (got channels)",
    f"{AT}.0.0.chanels=1": f"{AT}[0][0].chanels: unknown key of dense; did you mean channels?",
    f"{AT}.0.0.channels=0": f"{AT}[0][0].channels: must be >= 1 (got 0)",
    "training.epochs.0=1": f"training.epochs: {NO_LIST}",
    "mesh.data.0=1": f"mesh.data: {NO_LIST}",
}


@pytest.mark.parametrize("setting", MISTAKES)
def test_items_that_are_not_there_are_told(file, setting):
    with pytest.raises(SpecError) as error:
        load(file, [setting])
    assert error.value.lines[0] == f"--set: {MISTAKES[setting]}"
