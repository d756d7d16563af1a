"""A run begins at exactly the parameters that its spec names, and nothing else changes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import runs

from compiler.named_arrays.paths import flatten
from compiler.update.state import by_name
from fgspec import api
from fgspec.errors import ResumeError, UserError
from fgspec.problems.problems import SpecError
from fgspec.trained.files import FORMATS

SPEC = """
fgspec: 1
name: {name}
rule: lg-bp
data: {{source: {{type: digits}}, batch_size: 256}}
architecture: {{type: mlp, hidden: [8, 8, 8, 8]}}
compile: {{blocks: {blocks}}}
training: {{steps: {steps}}}
{more}
"""


def _spec(folder, more="", name="later", blocks="scanned", steps=2):
    path = folder / f"{name}.yaml"
    path.write_text(SPEC.format(name=name, blocks=blocks, steps=steps, more=more))
    return path


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A run of unrolled blocks."""
    folder = tmp_path_factory.mktemp("parent")
    return Path(api.train(_spec(folder, name="parent", blocks="unrolled"), run_dir=folder)["run"])


@pytest.fixture(scope="module")
def trained(parent):
    return flatten(api.restore(parent).parameters)


def _begins(spec, seed=7):
    """The parameters that a spec begins with, by path."""
    made = api.compile(spec)
    return {
        p: np.asarray(x) for p, x in flatten(by_name(made.plan, made.init(seed)).params).items()
    }


def _same(a, b):
    return {path for path in a if a[path].tobytes() == b[path].tobytes()}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """What begins without another run."""
    return _begins(_spec(tmp_path_factory.mktemp("drawn")))


def test_a_run_begins_at_another_ones_parameters_in_stacks_too(parent, trained, tmp_path):
    found = _begins(_spec(tmp_path, f"start_from: {{run: {parent}}}"))
    assert api.compile(tmp_path / "later.yaml").plan.stacks
    assert _same(found, trained) == found.keys() == trained.keys()


def test_parts_are_read_alone_and_under_other_names(parent, trained, drawn, tmp_path):
    more = "only: [blocks.0, blocks.2], rename: {blocks.3: blocks.2, classifier.w: heads.0.w}"
    found = _begins(_spec(tmp_path, f"start_from: {{run: {parent}, {more}}}"))
    read = {path for path in found if path.startswith(("blocks/block0/", "blocks/block2/"))}
    source = {path: path.replace("block2", "block3") for path in read}
    assert all(found[path].tobytes() == trained[source[path]].tobytes() for path in read)
    assert _same(found, drawn) >= found.keys() - read


@pytest.mark.parametrize("to", FORMATS)
def test_exported_files_begin_a_run_as_their_run_does(parent, trained, tmp_path, to):
    out = tmp_path / f"weights{FORMATS[to].ending}"
    api.export(parent, out, to=to)
    found = _begins(_spec(tmp_path, f"start_from: {{file: {out}}}"))
    assert _same(found, trained) == found.keys()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("only: [blok.0]", r"start_from.only: no parameter is called blok\.0"),
        ("rename: {blocks.7: blocks.0}", r"start_from.rename: no parameter is called blocks\.7"),
        ("step: 9", "no checkpoint of step 9; available steps: 2"),
    ],
)
def test_parts_that_are_none_are_refused(parent, tmp_path, more, said):
    with pytest.raises((UserError, SpecError), match=said):
        _begins(_spec(tmp_path, f"start_from: {{run: {parent}, {more}}}"))


def test_what_does_not_fit_is_refused_by_name(parent, tmp_path):
    spec = _spec(tmp_path, f"start_from: {{run: {parent}}}")
    for overrides, said in (
        (
            ["architecture.hidden=[8,8,8,8,8]"],
            "the source has no blocks.block4.dense.w, blocks.block4",
        ),
        (
            ["architecture.hidden=[8,8,8]"],
            r"blocks\.block3\.dense\.w, .*, which this network does not have",
        ),
        (["architecture.hidden=[8,8,8,6]"], r"block3\.dense\.[wb] is float32 .* expected float32"),
        (["start_from.run=nowhere"], "start_from.run: nowhere was not found; looked for"),
        (["start_from.file=w.npz"], "start_from.file: give either run or file"),
    ):
        with pytest.raises(UserError, match=said):
            _begins(api.load(spec, overrides))
    (tmp_path / "broken.npz").write_bytes(b"PK")
    (tmp_path / "weights.txt").write_bytes(b"")
    for name, said in (("broken.npz", "cannot be read"), ("weights.txt", "must end in")):
        with pytest.raises(UserError, match=said):
            _begins(_spec(tmp_path, f"start_from: {{file: {tmp_path / name}}}"))


def test_a_probe_of_a_file_goes_on_without_it_but_begins_again_only_with_it(
    parent, trained, tmp_path
):
    out = tmp_path / "weights.npz"
    api.export(parent, out, to="npz")
    more = f"start_from: {{file: {out}}}\nfreeze: [blocks]"
    run = Path(api.train(_spec(tmp_path, more), run_dir=tmp_path)["run"])
    after = flatten(api.restore(run).parameters)
    assert _same(after, trained) == {path for path in trained if path.startswith("blocks/")}
    record = json.loads((run / "provenance.json").read_text())
    assert len(record["hashes"]["start"]) == 64
    weights, about = FORMATS["npz"].read(out)
    out.unlink()
    longer = shutil.copytree(run, tmp_path / "longer")
    api.train(resume=longer, overrides=["training.steps=3"])
    # Without a checkpoint it begins again, at what is there now.
    shutil.rmtree(run / "checkpoints")
    (run / "summary.json").unlink()
    with pytest.raises(UserError, match="was not found"):
        api.train(resume=run)
    FORMATS["npz"].write(out, {**weights, "classifier/b": weights["classifier/b"] + 1}, about)
    with pytest.raises(ResumeError, match="these parameters have changed since the run started"):
        api.train(resume=run)
    FORMATS["npz"].write(out, weights, about)
    api.train(resume=run)
    again = flatten(api.restore(run).parameters)
    assert _same(again, after) == after.keys()
    assert [line["step"] for line in runs.lines(run)] == [2]
