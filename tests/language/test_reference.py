"""The reference: nothing of the language is missing, every example is right, `explain` finds all.

What the language is comes from its classes here too, by a walk of its own; so methods of installed
packages are held to the same.
"""

import re
from pathlib import Path
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
from data import layouts
from data.image_folders import write

from fgspec.cli.check_ import checked
from fgspec.cli.completion import fields as completed
from fgspec.data.packing import pack
from fgspec.formulas.styles import LATEX
from fgspec.loading.from_mapping import yaml_of
from fgspec.loading.spec_file import load, loads
from fgspec.problems.problems import SpecError
from fgspec.reference.__main__ import main as write_pages
from fgspec.reference.find import found
from fgspec.reference.markdown import pages
from fgspec.reference.terminal import explained
from fgspec.spec.experiment import SpecFile
from fgspec.spec.kinds import Kind
from fgspec.spec.language import choices_of, sections_of
from fgspec.spec.plugins import named
from fgspec.spec.sources import SOURCES, Synthetic
from fgspec.spec.sweep import SweepFile
from fgspec.sweeps.expand import load_sweep
from fgspec.yaml.load import parse

PAGES = pages()
TEXT = "\n".join(PAGES.values())


QUICKSTART = Path(__file__).parents[2] / "specs" / "quickstart.yaml"


def _classes():
    """Every section and method of the language."""
    left, seen = [SpecFile, SweepFile], {}
    while left:
        model = left.pop()
        if model not in seen:
            seen[model] = None
            for info in model.model_fields.values():
                left += sections_of(info.annotation)
                left += [kind for c in choices_of(info) for kind in c.kinds().values()]
    return list(seen)


CLASSES = _classes()
FIELDS = [
    pytest.param(model, name, id=f"{model.__name__}.{name}")
    for model in CLASSES
    for name in model.model_fields
    if name != "type" or choices_of(model.model_fields[name])
]


def _words(annotation):
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    for part in get_args(annotation):
        yield from _words(part)


def test_formulas_are_on_a_page():
    having = [m for m in CLASSES if issubclass(m, Kind) and m.formulas is not Kind.formulas]
    assert having
    for kind in having:
        for equation in kind().formulas():
            assert equation.says in TEXT
            assert equation.show(LATEX) in TEXT


@pytest.mark.parametrize(("model", "name"), FIELDS)
def test_every_field_is_on_a_page(model, name):
    """With its meaning in sentences, and a line for each of its values."""
    info = model.model_fields[name]
    assert info.description is not None
    assert info.description[0].isupper()
    assert info.description.endswith(".")
    assert info.description in TEXT
    assert re.search(rf"[`.]{name}`", TEXT)
    for choice in choices_of(info):
        for value, kind in choice.kinds().items():
            assert re.search(rf"- \[?`{value}`\S*: {re.escape(kind.about()[0])}", TEXT), value
    if name != "fgspec":  # the version, of which there is one
        for value in _words(info.annotation):
            assert re.search(rf"^- `{value}`: [A-Z0-9`].*\.$", TEXT, re.M), value


def test_every_method_is_described():
    """In paragraphs, of which the first is a sentence for lists."""
    for kind in [model for model in CLASSES if issubclass(model, Kind)]:
        assert kind.about()[0].endswith("."), kind
        assert all(paragraph in TEXT for paragraph in kind.about()), kind


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_whole(name):
    """Each begins with its title, says something, and every link leads somewhere, once."""
    text = PAGES[name]
    assert text.startswith("# ")
    assert len(text.split()) > 50
    anchors = re.findall(r"\{ #(\S+) \}$", text, re.M)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= set(anchors)
    assert set(re.findall(r"\]\(([^#)][^)]*)\)", text)) <= set(PAGES)


def test_every_field_says_its_type_and_its_default():
    for name, text in PAGES.items():
        for part in re.split(r"^### ", text, flags=re.M)[1:]:
            assert re.search(r"^- type: \S", part, re.M), (name, part)
            assert re.search(r"^- (default: \S|required: yes)", part, re.M), (name, part)


# -------------------------------------------------------------------------- examples are right


def _examples(name):
    found = re.findall(r"^Example:\n\n```yaml\n(.*?)```", PAGES[name], re.M | re.S)
    return list(dict.fromkeys(found))


PUBLISHED = [name for name in SOURCES.names() if "verify" in SOURCES.kind(name).model_fields]
BASE = {"fgspec": 1, "name": "base", "training": {"epochs": 20}, "data": {"batch_size": 4}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that examples name."""
    root = tmp_path_factory.mktemp("examples")
    for name in PUBLISHED:
        (root / "data" / name).mkdir(parents=True)
        named(SOURCES.kind(name).behaviour).example(root / "data" / name)
    layouts.svhn(root / "data" / "svhn", extra=True)
    layouts.medmnist(root / "data" / "medmnist", size=64)
    layouts.hugging_face(
        root / "data" / "beans", splits=("train", "test", "training", "validation")
    )
    splits = {**layouts.SHARDS, "train_full": (3,), "validation": (2,)}
    layouts.tfds(root / "data" / "birds", shards=splits)
    write(root / "data" / "flowers")
    write(root / "data" / "flowers", parts=("training", "test"))
    images, labels = np.zeros((24, 8, 8), np.uint8), np.arange(24) % 3
    images[:, ::2] = 255
    arrays = dict.fromkeys(("train_images", "test_images", "x_train", "x_test"), images)
    arrays |= dict.fromkeys(("train_labels", "test_labels", "y_train", "y_test"), labels)
    np.savez(root / "data" / "mine.npz", **arrays)
    pack(Synthetic(image=(8, 8, 1), train_examples=24), root / "data" / "digits-packed")
    return root


@pytest.mark.parametrize("page", [name for name in PAGES if _examples(name)])
def test_every_example_passes_check(page, folder, monkeypatch):
    """Laid over a spec or a sweep that says only what each of them must."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FGSPEC_DATA", str(folder / "data"))
    wrong = []
    for text in _examples(page):
        snippet = parse(text, page).value
        Path("base.yaml").write_text(yaml_of(_base("", snippet)))
        Path("example.yaml").write_text(yaml_of(_laid_over(_base(page, snippet), snippet)))
        try:
            sweep = load_sweep(Path("example.yaml")) if page == "sweep.md" else None
            for loaded in [arm.loaded for arm in sweep.arms] if sweep else [load("example.yaml")]:
                checked(loaded)
        except SpecError as error:
            wrong += [text + line for line in error.lines if "not installed; pip" not in line]
    assert wrong == []


def _base(page, snippet):
    if page == "sweep.md":
        return {"fgspec": 1, "name": "base", "base": "base.yaml"}
    network = snippet.get("architecture", {})
    network = {"patches": 4} if network.get("type", "local_mixer") == "local_mixer" else {}
    network = {"type": "mlp"} if "source" in snippet.get("data", ()) else network
    training = {} if "steps" in snippet.get("training", ()) else BASE["training"]
    source = snippet.get("data", {}).get("source")
    data = dict(BASE["data"])
    if isinstance(source, dict) and source.get("type") in PUBLISHED:
        data["source"] = {"verify": False}  # the files here are not the published ones
    return {**BASE, "architecture": network, "training": training, "data": data}


def _laid_over(base, snippet):
    both = {**base, **snippet}
    for key in base.keys() & snippet.keys():
        if isinstance(base[key], dict):
            both[key] = _laid_over(base[key], snippet[key])
    return both


# -------------------------------------------------------------------------- explain


PATHS = [path.removesuffix("=") for path in completed("")]


@pytest.mark.parametrize("path", PATHS)
def test_explain_finds_every_field_and_value(path):
    """As a shell completes them; in lines of 80 letters, but for the YAML of examples."""
    asked = [path, *completed(f"{path}=")]
    for what in asked:
        if what.partition("=")[2] in ("true", "false"):
            continue
        told = explained(found(what))
        # What stands below `phases.gradient` is described once, below `gradient`.
        field = re.sub(r"^phases\.(?=gradient\.)", "", path.removesuffix(".type"))
        assert told.startswith(field)
        prose = told.partition("\n  example\n")[0]
        assert max(map(len, prose.splitlines())) <= 80, what


@pytest.mark.parametrize("name", completed("rule="))
def test_explain_knows_rules_by_name(name):
    rule = name.removeprefix("rule=")
    told = explained(found(rule))
    assert told.splitlines()[0] == f"rule: {rule}"
    assert "stands for" in told


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("learning_rate", "optimizer.learning_rate"),
        ("phases[0].gradient.target", "gradient.target"),
        ("guess.type=sphere", "gradient.perturbation.guess: sphere"),
        ("guess=sphere", "gradient.perturbation.guess: sphere"),
        ("architecture.blocks[0][1].size", "architecture.blocks.size (for "),
        ("losses.local.last=final", "losses.local.last: final"),
        ("compile.losses=fused", "compile.losses: fused"),
        ("adamw", "optimizer: adamw"),
        ("cross_entropy", "losses.objective: cross_entropy"),
        ("clapp", "losses.local.objective: clapp"),
        ("grid", "grid (in a sweep)"),
        ("random.count", "random.count (in a sweep)"),
    ],
)
def test_explain_takes_short_names(asked, answer):
    assert explained(found(asked)).startswith(answer)


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        ("optimizer.lerning_rate", "did you mean optimizer.learning_rate?"),
        ("lr", "did you mean optimizer.learning_rate?"),
        ("guess.type=spere", "did you mean gradient.perturbation.guess=sphere?"),
        ("gradient.target=everything", "known: above, global, local, sum"),
        ("lg-fg-aa", "did you mean lg-fg-a?"),
        ("local", "use fgspec explain losses.local or fgspec explain gradient.target=local or "),
        ("optimizer.learning_rate=0.1", "has no fixed values"),
        ("a.yaml", "a.yaml:1:1: There is no such file"),
        ("", "known sections: fgspec, name"),
        ("-", "known sections: fgspec, name"),
    ],
)
def test_explain_says_what_was_meant(asked, remedy, fgspec):
    code, out, err = fgspec("explain", asked)
    assert (code, out) == (2, "")
    assert remedy in err


def test_explain_takes_a_value_and_a_spec_with_settings(fgspec):
    """A lone `field=value` is what is asked for; after a spec it is a setting."""
    code, out, _ = fgspec("explain", "guess=sphere")
    assert (code, out.splitlines()[0]) == (0, "gradient.perturbation.guess: sphere")
    code, out, _ = fgspec("explain", QUICKSTART, "rule=lg-bp")
    assert code == 0
    assert "Variance. It has no variance" in out
    code, _, err = fgspec("explain", "optimizer", "--latex", "x.tex")
    assert (code, err) == (2, "explain: --latex needs a spec, not a field (got optimizer)\n")


def test_explain_tells_which_rules_read_a_field():
    """A rule reads a field if a spec that sets it passes check under that rule."""
    samples = explained(found("gradient.perturbation.samples"))
    labels = ("read under", "not under")
    reads, unread = (re.search(rf"{name} +(.*)", samples)[1].split(", ") for name in labels)
    for rule in [name.removeprefix("rule=") for name in completed("rule=")]:
        fits = {**BASE, "rule": rule, "gradient": {"perturbation": {"samples": 4}}}
        try:
            loads(yaml_of(fits))
        except SpecError:
            assert rule in unread
        else:
            assert rule in reads


def test_explain_tells_which_rules_have_a_value():
    told = explained(found("gradient.estimator=feedback"))
    assert "Rules that set it: fa, l-fa, lg-fa." in told
    assert "Rules that set it" not in explained(found("gradient.estimator=finite_difference"))


def test_pages_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["reference", str(tmp_path / "pages")])
    write_pages()
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {*PAGES}
    assert f"{len(PAGES)} pages" in capsys.readouterr().out
