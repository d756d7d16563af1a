"""Folders of classes, ImageNet's among them: what is listed, refused and trained on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import runs
from data import image_folders
from data.refusals import refusal
from PIL import Image

import fgspec
from compiler.cost.counts import counts
from compiler.cost.updates_per_call import calls_of
from fgspec.data.describe import describe
from fgspec.data.image_files import ImageFiles
from fgspec.data.sources import read
from fgspec.spec.sources import ImageFolder, ImageNet
from fgspec.training.loop import Preempted

REN = Path(__file__).parents[2] / "specs" / "ren2022"

SPEC = """
fgspec: 1
name: stripes
rule: lg-fg-a
data:
  source: {{type: image_folder, path: {path}, size: 16}}
  batch_size: 32
  evaluation_batch_size: 20
architecture: {{type: local_mixer, blocks: 1, patches: 2, channels: 64, groups: 8}}
optimizer: {{type: sgd, learning_rate: 0.1}}
training: {{steps: 60, log_every: {{steps: 20}}, evaluate_every: {{steps: 20}}}}
checkpoint: {{every: {{steps: 30}}}}
"""


@pytest.fixture
def root(tmp_path):
    return image_folders.write(tmp_path / "data", train=24, test=8)


def folder_refusal(root, **fields):
    return refusal(ImageFolder(path=str(root), **fields)).replace(str(root), "ROOT")


def test_classes_are_the_sorted_folders_and_images_keep_theirs(root):
    for label in range(4):
        own = root / "train" / f"class{label}"
        Image.new("RGB", (20, 20), (label * 80, 0, 0)).save(own / "-.png")  # the first
    for junk in (".DS_Store", "class1/.0.JPEG", "class1/Thumbs.db", "note.txt"):
        (root / "train" / junk).write_text("x")
    (root / "train" / ".cache").mkdir()
    dataset, info = (do(ImageFolder(path=str(root), size=12)) for do in (read, describe))
    assert (info.name, info.image_shape, info.classes) == ("data", (12, 12, 3), 4)
    assert (info.train_examples, info.test_examples) == (28, 8)
    assert dataset.train_labels.dtype == dataset.test_labels.dtype == np.int32
    assert dataset.train_labels.tolist() == sorted([0, 1, 2, 3] * 7)
    assert dataset.test_labels.tolist() == sorted([0, 1, 2, 3] * 2)
    first = np.searchsorted(dataset.train_labels, range(4)).astype(np.int32)
    assert dataset.train_images.take(first, axis=0)[:, 5, 5, 0].tolist() == [0, 80, 160, 240]


def test_folders_that_are_not_as_they_should_be_are_named(root):
    missing = refusal(ImageFolder(path="nowhere"))
    assert missing.startswith("data.source.path: nowhere was not found; looked for /")
    assert folder_refusal(root, test="test") == (
        "data.source.test: ROOT holds no folder test; the folders there: train, val"
    )
    (root / "val" / "class_1").mkdir()
    assert folder_refusal(root) == (
        "data.source.test: ROOT/val has the class class_1, which ROOT/train lacks; "
        "did you mean class1?"
    )
    (root / "val" / "class_1").rename(root / "train" / "empty")
    assert folder_refusal(root).startswith(
        "data.source.train: ROOT/train/empty holds no .jpg, .jpeg, .png, .webp, .bmp file; add"
    )
    (root / "train" / "empty").rmdir()
    shutil.rmtree(root / "val")
    (root / "val" / "class1").mkdir(parents=True)
    assert folder_refusal(root).startswith("data.source.test: the folders of ROOT/val hold no ")
    (root / "val" / "class1").rmdir()
    Image.new("L", (9, 9)).save(root / "val" / "ILSVRC2012_val_00000001.JPEG")
    assert folder_refusal(root) == (
        "data.source.test: ROOT/val holds 0 class folders, expected at least 1; "
        "put the images of each class into a folder named after the class"
    )
    for label in (1, 2, 3):
        shutil.rmtree(root / "train" / f"class{label}")
    assert folder_refusal(root).startswith(
        "data.source.train: ROOT/train holds 1 class folders, expected at least 2;"
    )


def test_imagenet_is_described_without_files_and_found_in_the_usual_places(root, monkeypatch):
    monkeypatch.setenv("HOME", "/nobody")
    monkeypatch.delenv("FGSPEC_DATA", raising=False)
    info = describe(ImageNet())
    assert (info.image_shape, info.classes) == ((224, 224, 3), 1000)
    assert (info.train_examples, info.test_examples) == (1_281_167, 50_000)
    assert refusal(ImageNet()) == (
        "data.source: the folder train/ (one folder per class) of ImageNet was not found; "
        "looked in /nobody/.cache/fgspec/imagenet; download it from "
        "https://image-net.org/download.php and put it there, or name its place in "
        "data.source.path or $FGSPEC_DATA"
    )
    monkeypatch.setenv("FGSPEC_DATA", str(root.parent))
    root.rename(root.parent / "imagenet")
    assert refusal(ImageNet()).startswith(
        f"data.source: {root.parent}/imagenet/train holds 4 classes, expected 1000; use the source"
    )
    part = read(ImageNet(verify=False))
    assert part.train_images.shape == (24, 224, 224, 3)
    monkeypatch.setattr("fgspec.data.imagenet.IMAGENET", IMAGENET_OF_4)
    assert refusal(ImageNet()).startswith(
        f"data.source: {root.parent}/imagenet holds 24 training and 8 test examples, expected "
        "1281167 and 50000; download it from"
    )


IMAGENET_OF_4 = replace(describe(ImageNet()), classes=4)


def test_a_set_that_is_decoded_is_never_put_on_the_device(tmp_path):
    """Not even one of 24 kB, which `auto` would put there if it were in memory."""
    spec = tmp_path / "small.yaml"
    spec.write_text(SPEC.format(path=image_folders.write(tmp_path / "data", train=32, test=8)))
    assert not calls_of(fgspec.plan(spec)).resident
    with pytest.raises(fgspec.SpecError) as caught:
        fgspec.load(spec, ["compile.input=device"])
    assert str(caught.value) == (
        "--set: compile.input: images of image_folder are decoded batch by batch, not kept in "
        f"memory; use auto or host (got device; data.source.type is image_folder at {spec}:6:18)"
    )


def test_the_plan_of_l_32_64_counts_the_papers_parameters():
    """With heads of 1000 classes, as JSON of the paper's tables notes; table 2 says 17.3M."""
    plan = fgspec.plan(REN / "table3" / "imagenet_l_32_64" / "lg_fg_a.yaml")
    assert round(counts(plan).parameters, -5) == 26_600_000


def test_a_run_learns_from_files_and_resumes_to_the_last_bit(tmp_path, monkeypatch):
    """Stripes of 4 directions; no array of more than a batch, or the sampled, is ever decoded."""
    taken, take = [], ImageFiles.take

    def counted(self, indices, /, axis=0):
        taken.append(len(indices))
        return take(self, indices, axis)

    monkeypatch.setattr(ImageFiles, "take", counted)
    root = image_folders.write(tmp_path / "data", train=256, test=48)
    spec = tmp_path / "stripes.yaml"
    spec.write_text(SPEC.format(path=root))
    whole = fgspec.train(spec, run_dir=tmp_path / "whole")
    assert whole["metrics"]["test/error"] < 0.2  # by chance 0.75
    assert set(taken) == {256, 32, 20, 8}  # moments, batches and evidence, tests
    runs.stop_after(monkeypatch, 4)  # of 6 calls of 10 updates
    with pytest.raises(Preempted):
        fgspec.train(spec, run_dir=tmp_path / "cut")
    (cut,) = (tmp_path / "cut" / "stripes").iterdir()
    monkeypatch.undo()
    fgspec.train(resume=cut)
    runs.assert_same(Path(whole["run"]), cut)
    changed = next((root / "train" / "class2").iterdir())
    changed.write_bytes(changed.read_bytes() + b"\0")
    with pytest.raises(fgspec.ResumeError, match=r"the data of .*image_folder.* differ"):
        fgspec.train(resume=cut)


def test_a_damaged_image_ends_a_run_with_its_name(tmp_path, fgspec):
    root = image_folders.write(tmp_path / "data", train=36, test=8)
    (tmp_path / "a.yaml").write_text(SPEC.format(path=root))
    source = "data.source={type: image_folder, size: 16, mean: [0, 0, 0], std: [1, 1, 1], path: "
    file = sorted((root / "train" / "class0").iterdir())[5]
    file.write_bytes(file.read_bytes()[:-60])
    arguments = [tmp_path / "a.yaml", "--run-dir", tmp_path, "--set", f"{source}{root}}}"]
    code, _, err = fgspec("train", *arguments)
    assert code == 2
    assert err.startswith(f"data.source: {file} cannot be decoded: ")


def test_an_imagenet_cell_trains_when_shrunken(tmp_path):
    root = image_folders.write(tmp_path / "data", train=8, test=4)
    source = {"type": "imagenet", "path": str(root), "verify": False}
    small = {
        "architecture": {"blocks": 2, "channels": 128},
        "data": {"batch_size": 4, "source": source},
        "training": {"epochs": None, "steps": 2},
        "optimizer": {"schedule": {"warmup_epochs": 0}},
    }
    sets = [f"{s}.{k}={json.dumps(v)}" for s, part in small.items() for k, v in part.items()]
    cell = fgspec.load(REN / "table3" / "imagenet_l_32_64" / "bp.yaml", sets)
    summary = fgspec.train(cell, run_dir=tmp_path)
    assert np.isfinite(summary["metrics"]["train/loss"])
