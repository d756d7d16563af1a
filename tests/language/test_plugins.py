"""Methods of installed packages: found without importing them, part of a spec's identity.

A package is what installing it leaves: a module and a folder of metadata on Python's path.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from jsonschema import Draft202012Validator
from language.clumsy import HEAD

from fgspec.cli.schema_ import language_schema
from fgspec.errors import UserError
from fgspec.loading.resolved import spec_hash
from fgspec.loading.spec_file import load, loads
from fgspec.problems.problems import SpecError
from fgspec.reference.markdown import pages
from fgspec.spec import plugins
from fgspec.spec.kinds import Table, working
from fgspec.spec.objectives import OBJECTIVES
from fgspec.yaml.load import parse

OWN = (
    "binary_cross_entropy, clapp, clapp_plus_plus, cross_entropy, forward_forward, info_nce, "
    "label_smoothing, predsim, reconstruction, squared_error"
)
"""The objectives of fgspec."""

METHODS = '''
"""Methods that are written down but compute nothing yet."""

from typing import Annotated, Literal

import fgspec

MEANS = fgspec.Values({"sum": "All of it.", "mean": "Its mean."})


class Hinge(fgspec.Objective):
    """What is beyond a margin."""

    type: Literal["hinge"] = "hinge"
    margin: float = fgspec.Field(default=1.0, gt=0, description="Distance that costs nothing.")
    over: Annotated[Literal["sum", "mean"], MEANS] = fgspec.Field(
        default="sum", description="What is taken of an example."
    )

    def scale(self, data):
        return self.margin


class Uniform(fgspec.Guess):
    """Uniform numbers of unit variance."""

    type: Literal["uniform"] = "uniform"
    kurtosis = 9 / 5


class Shift(fgspec.Layer):
    """Every channel becomes the next one."""

    type: Literal["shift"] = "shift"

    def end(self, start):
        return start

    def mixes(self, start):
        return frozenset({"channel"})
'''
POINTS = {
    "objectives": {"hinge": "methods_of_others:Hinge"},
    "guesses": {"uniform": "methods_of_others:Uniform"},
    "layers": {"shift": "methods_of_others:Shift"},
}
NAMED = """\
architecture:
  type: chain
  blocks: [[{type: dense, channels: 4}, shift], [full]]
losses: {objective: {type: hinge, margin: 0.5}}
gradient: {estimator: forward, perturbation: {guess: uniform}}
"""


class Packages:
    """A folder of installed packages."""

    def __init__(self, folder):
        self.folder = folder

    def install(self, name, points, modules=None, version="0.1"):
        """Leave what installing leaves: `points` by group, `modules` by name."""
        self.remove(name)
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        rows = ""
        for group, own in points.items():
            rows += f"[fgspec.{group}]\n"
            rows += "".join(f"{key} = {value}\n" for key, value in own.items())
        (info / "entry_points.txt").write_text(rows)
        for module, text in (modules or {}).items():
            (self.folder / f"{module}.py").write_text(dedent(text))
        plugins.forget()

    def remove(self, name):
        for info in self.folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
            for file in info.iterdir():
                file.unlink()
            info.rmdir()
        plugins.forget()


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """What is installed, in this process and in those that it starts."""
    folder = tmp_path / "packages"
    folder.mkdir()
    before = set(sys.modules)
    monkeypatch.syspath_prepend(folder)
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.chdir(tmp_path)
    plugins.forget()
    yield Packages(folder)
    monkeypatch.undo()
    plugins.forget()
    for name in sys.modules.keys() - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def others(packages):
    """One package that offers an objective, a guess and a layer."""
    packages.install("fgspec-others", POINTS, {"methods_of_others": METHODS})
    return packages


def spec(text, name="a.yaml"):
    path = Path(name)
    network = "" if "architecture:" in text else "architecture: {type: mlp, hidden: [4]}\n"
    path.write_text(HEAD + text + network)  # patches of one pixel, the default's, cannot learn
    return path


def refused(text):
    with pytest.raises(SpecError) as error:
        loads(HEAD + text, "a.yaml")
    return list(error.value.lines)


def test_a_spec_can_name_what_a_package_offers(others, fgspec):
    code, out, err = fgspec("check", spec(NAMED))
    assert (code, err) == (0, "")
    assert out.startswith("a.yaml: ok (a, ")
    code, out, _ = fgspec("show", "a.yaml")
    assert code == 0
    assert loads(out).values() == load("a.yaml").values()
    found = load("a.yaml").experiment
    assert found.losses.objective.margin == 0.5
    assert str(found.gradient.perturbation.guess) == "uniform"
    assert [str(layer) for layer in found.architecture.blocks[0]] == ["dense", "shift"]


def test_editors_and_messages_know_what_a_package_offers(others, fgspec):
    schema = Draft202012Validator(language_schema())
    assert schema.is_valid(parse(HEAD + NAMED, "a.yaml").value)
    assert not schema.is_valid(parse(HEAD + NAMED.replace("margin", "margen"), "a.yaml").value)
    code, out, _ = fgspec("schema")
    assert (code, json.loads(out)) == (0, language_schema())
    assert "Distance that costs nothing." in out
    assert refused("losses: {objective: hing}\n") == [
        f"a.yaml:4:21: losses.objective.type: must be one of {OWN}, hinge; "
        "did you mean hinge? (got hing)"
    ]
    assert refused("gradient: {estimator: forward, perturbation: {guess: {type: x}}}\n") == [
        "a.yaml:4:61: gradient.perturbation.guess.type: must be one of above, fixed_ntk, global, "
        "jacobian, local, low_rank, normal, ntk, rademacher, sphere, uniform (got x)"
    ]
    assert refused("losses: {objective: {type: hinge, margen: 1}}\n") == [
        "a.yaml:4:35: losses.objective.margen: unknown key of hinge; did you mean margin?"
    ]
    assert refused("losses: {objective: {type: hinge, margin: 0}}\n") == [
        "a.yaml:4:43: losses.objective.margin: must be > 0 (got 0)"
    ]


def test_bases_and_settings_act_on_the_options_of_a_package(others):
    spec("losses: {objective: hinge}\n", "base.yaml")
    Path("top.yaml").write_text("extends: base.yaml\nlosses: {objective: {margin: 3}}\n")
    for loaded in (load("top.yaml"), load("base.yaml", ["losses.objective.margin=3"])):
        assert loaded.experiment.losses.objective.margin == 3
    with pytest.raises(SpecError, match="margin: unknown key of info_nce"):
        load("top.yaml", ["losses.objective.type=info_nce", "losses.objective.margin=3"])


def python(program, *arguments):
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


CHECK = "import sys; from fgspec.cli.main import main\ntry: main()\nfinally: print(*sys.modules)"


def test_no_package_is_imported_for_a_spec_that_does_not_name_it(packages):
    points = {"objectives": {"hinge": "hinge_in_jax:Hinge"}, "guesses": {"lazy": "lazy_guess:Lazy"}}
    packages.install(
        "fgspec-lazy",
        points,
        {"hinge_in_jax": "import jax\n" + METHODS, "lazy_guess": "import jax\n"},
    )
    done = python(CHECK, "check", spec("losses: {objective: cross_entropy}\noptimizer: adam\n"))
    assert (done.returncode, done.stderr) == (0, "")
    assert {"jax", "hinge_in_jax", "lazy_guess"} & {*done.stdout.split()} == set()
    wrong = "losses: {objective: hing}\nsede: 1\noptimizer: {learning_rate: 1}\n"
    done = python(CHECK, "check", spec(wrong))
    assert done.returncode == 2
    assert "did you mean hinge?" in done.stderr
    assert {"jax", "hinge_in_jax", "lazy_guess"} & {*done.stdout.split()} == set()
    done = python(CHECK, "check", spec("losses: {objective: hinge}\n"))
    assert (done.returncode, done.stderr) == (0, "")
    assert {"jax", "hinge_in_jax"} <= {*done.stdout.split()}


MODULE = "losses: {objective: {type: broken}}\n"
AT = "a.yaml:4:28: losses.objective.type: fgspec-broken 0.1: its objective broken "
MEND = "; mend the package, or pip uninstall fgspec-broken"
BROKEN = {
    "imports what is not there": (
        "import nowhere_at_all\n",
        AT + "cannot be imported: No module named 'nowhere_at_all'" + MEND,
    ),
    "raises": (
        "raise ValueError('first\\nsecond')\n",
        AT + "cannot be imported: ValueError: first" + MEND,
    ),
    "raises without a word": (
        "raise KeyError\n",
        AT + "cannot be imported: KeyError: no reason given" + MEND,
    ),
    "ends the process": (
        "import sys\nsys.exit('no GPU\\nhere')\n",
        AT + "cannot be imported: SystemExit: no GPU" + MEND,
    ),
    "ends the process without a word": (
        "raise SystemExit\n",
        AT + "cannot be imported: SystemExit: no reason given" + MEND,
    ),
    "is no Python": (
        "class Broken(:\n",
        AT + "cannot be imported: SyntaxError: invalid syntax (broken_module.py, line 1)" + MEND,
    ),
    "has no such class": (
        "",
        AT + "cannot be imported: AttributeError: module 'broken_module' has no attribute 'Broken'",
    ),
    "is no class": (
        "Broken = 3\n",
        AT + "is no class of this table; it must be a class below fgspec.Objective",
    ),
    "is of another table": (
        "import fgspec\nclass Broken(fgspec.Guess):\n    pass\n",
        AT + "is no class of this table; it must be a class below fgspec.Objective",
    ),
    "is of no table": (
        "from fgspec.spec.kinds import Kind\nclass Broken(Kind):\n    pass\n",
        AT + "is no class of this table; it must be a class below fgspec.Objective",
    ),
    "has another type": (
        "from typing import Literal\nimport fgspec\n"
        "class Broken(fgspec.Objective):\n    type: Literal['borken'] = 'borken'\n",
        AT + 'has the type borken; it must have type: Literal["broken"] = "broken"',
    ),
    "has no type": (
        "import fgspec\nclass Broken(fgspec.Objective):\n    pass\n",
        AT + 'has the type of its base; it must have type: Literal["broken"] = "broken"',
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_package_that_is_broken_is_one_line_where_it_is_named(packages, fgspec, how):
    text, line = BROKEN[how]
    points = {"objectives": {"broken": "broken_module:Broken"}}
    packages.install("fgspec-broken", points, {"broken_module": text})
    spec(MODULE)
    spec("losses: {objective: cross_entropy}\n", "b.yaml")
    code, out, err = fgspec("check", "a.yaml", "b.yaml")
    assert code == 2
    assert out.startswith("b.yaml: ok")
    (told,) = err.splitlines()
    assert told.startswith(line)
    (alone,) = refused(MODULE.replace("{type: broken}", "broken"))
    assert alone == told.replace(":28:", ":21:")


SECTION = """\
from typing import ClassVar, Literal
from fgspec import Objective

class Apart(Objective):
    \"""What it computes is in another module.\"""

    behaviour: ClassVar[str | None] = "numbers_apart:Apart"
    type: Literal["apart"] = "apart"
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import nowhere_at_all\n", "No module named 'nowhere_at_all'"),
        ("raise RuntimeError('no GPU\\nhere')\n", "RuntimeError: no GPU"),
        ("import sys\nsys.exit(1)\n", "SystemExit: 1"),
        ("", "AttributeError: module 'numbers_apart' has no attribute 'Apart'"),
    ],
)
def test_what_a_section_computes_that_cannot_be_imported_is_one_line(packages, text, reason):
    points = {"objectives": {"apart": "section_apart:Apart"}}
    packages.install("fgspec-apart", points, {"section_apart": SECTION, "numbers_apart": text})
    found = load(spec("losses: {objective: apart}\n")).experiment.losses.objective
    with pytest.raises(UserError) as error:
        working(found)
    told = f"the objective apart: numbers_apart:Apart cannot be imported: {reason}"
    assert str(error.value) == told


def test_other_mistakes_are_told_beside_a_package_that_is_broken(packages):
    points = {"objectives": {"broken": "broken_module:Broken"}, "rules": {"odd": "broken_module:R"}}
    packages.install("fgspec-broken", points, {"broken_module": "import nowhere_at_all\n"})
    first, second = refused(MODULE.replace("broken", "broken, margin: 2") + "optimizer: addam\n")
    assert first.startswith(AT)
    assert second.endswith("did you mean adam? (got addam)")
    (told,) = refused("rule: odd\n")
    assert told.startswith("a.yaml:4:7: rule: fgspec-broken 0.1: its rule odd cannot be imported")


def test_a_package_that_is_broken_hides_no_message(packages):
    """Which guesses can be control variates, only their classes tell."""
    points = {"guesses": {"broken": "broken_module:Broken"}}
    packages.install("fgspec-broken", points, {"broken_module": "import nowhere_at_all\n"})
    asked = "gradient: {estimator: forward, perturbation: {control_variate: locla}}\n"
    assert refused(asked) == [
        "a.yaml:4:64: gradient.perturbation.control_variate: must be one of fixed_ntk, local, ntk; "
        "did you mean local? (got locla)"
    ]
    (told,) = refused(asked.replace("locla", "broken"))
    assert "its guess broken cannot be imported" in told


def test_the_reference_has_what_a_package_offers(others, fgspec):
    """With its fields, an example, and the rules under which a spec may name it."""
    code, out, err = fgspec("explain", "losses.objective.margin")
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [
        "losses.objective.margin (for hinge)",
        "  Distance that costs nothing.",
    ]
    assert "  default    1.0\n" in out
    code, out, _ = fgspec("explain", "losses.objective.over=mean")
    assert (code, out.splitlines()[:2]) == (
        0,
        ["losses.objective.over: mean (for hinge)", "  Its mean."],
    )
    code, out, _ = fgspec("explain", "guess=uniform")
    assert (code, out.splitlines()[1]) == (0, "  Uniform numbers of unit variance.")
    assert "      guess: uniform\n" in out or "        type: uniform\n" in out
    written = pages()
    assert "## `losses.objective: hinge` {" in written["losses.md"]
    assert "- [`uniform`](" in written["gradient.md"]


def test_a_reference_of_a_package_that_is_broken_is_one_line(packages, fgspec):
    packages.install("fgspec-broken", {"heads": {"broken": "not_there:Head"}})
    code, out, err = fgspec("explain", "optimizer")
    assert (code, out) == (2, "")
    assert err.startswith("fgspec-broken 0.1: its head broken cannot be imported")
    assert err.count("\n") == 1


def test_a_schema_of_a_package_that_is_broken_is_one_line(packages, fgspec):
    points = {"objectives": {"broken": "broken_module:Broken"}}
    packages.install("fgspec-broken", points, {"broken_module": "import nowhere_at_all\n"})
    code, out, err = fgspec("schema")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("fgspec-broken 0.1: its objective broken cannot be imported: No module")


def test_an_installation_older_than_a_table_is_told():
    with pytest.raises(UserError, match=r"^no oddity is registered under fgspec.oddities: .*"):
        Table("oddity", "fgspec.oddities").names()


@pytest.mark.parametrize("name", ["hinge", "cross_entropy"])
def test_two_packages_of_one_name_are_told(others, fgspec, name):
    points = {"objectives": {name: "methods_of_others:Hinge"}}
    others.install("fgspec-zebra", points)
    first = (
        "fgspec-others 0.1" if name == "hinge" else f"fgspec {plugins.package_version('fgspec')}"
    )
    line = f"the objective {name} is offered by {first} and fgspec-zebra 0.1; pip uninstall "
    line += "fgspec-zebra, or rename"
    spec(f"losses: {{objective: {name}}}\n")
    spec("losses: {objective: info_nce}\ndata: {augment: byol}\n", "b.yaml")
    spec("rule: lg-bp\n", "c.yaml")
    code, out, err = fgspec("check", "a.yaml", "b.yaml", "c.yaml")
    assert (code, err) == (2, f"a.yaml:4:21: losses.objective.type: {line}\n")
    assert [row.split(":")[0] for row in out.splitlines()] == ["b.yaml", "c.yaml"]
    # Nor does a mistake in a spec that names neither become another.
    assert refused("losses: {objective: {temperature: 0.5}}\n")[0].startswith(
        "a.yaml:4:21: losses.objective: needs a type"
    )


def test_one_package_that_lies_on_the_path_twice_is_one(others, tmp_path, monkeypatch):
    again = Packages(tmp_path / "again")
    again.install("fgspec-others", POINTS, {"methods_of_others": METHODS}, version="0.3")
    monkeypatch.syspath_prepend(again.folder)
    plugins.forget()
    assert loads(HEAD + NAMED).packages() == {"fgspec-others": "0.3"}


def test_the_package_is_part_of_the_identity_of_specs_that_name_it(others):
    plain, named = loads(HEAD + "optimizer: adam\n"), loads(HEAD + NAMED)
    assert (plain.packages(), named.packages()) == ({}, {"fgspec-others": "0.1"})
    before = spec_hash(plain), spec_hash(named)
    others.install("fgspec-others", POINTS, version="0.2")
    assert spec_hash(loads(HEAD + "optimizer: adam\n")) == before[0]
    assert spec_hash(loads(HEAD + NAMED)) != before[1]
    others.install("fgspec-others", POINTS)
    assert spec_hash(loads(HEAD + NAMED)) == before[1]


def test_nothing_of_a_package_is_left_when_it_is_gone(others):
    others.remove("fgspec-others")
    assert "hinge" not in OBJECTIVES.names()
    assert refused("losses: {objective: hinge}\n") == [
        f"a.yaml:4:21: losses.objective.type: must be one of {OWN} (got hinge)"
    ]


SQUARED = '''
from typing import Literal

import jax
import jax.numpy as jnp

import fgspec


class Squared(fgspec.Objective):
    """Half the squared distance from the one-hot label."""

    type: Literal["squared"] = "squared"

    def value(self, outputs, targets, others=None):
        wanted = jax.nn.one_hot(targets, outputs.shape[-1])
        return 0.5 * jnp.square(outputs - wanted).sum(-1)

    def metrics(self, outputs, targets):
        right = self.predict(outputs) == targets
        return {"error": ~right, "accuracy": right}

    def predict(self, outputs):
        return outputs.argmax(-1)

    def scale(self, data):
        return 0.5
'''
TRAINED = """\
fgspec: 1
name: a
rule: lg-bp
training: {steps: 2}
architecture: {type: mlp, hidden: [4]}
losses: {objective: squared}
checkpoint: {every: {steps: 1}}
"""


def test_a_run_belongs_to_the_version_of_its_package(packages, fgspec, monkeypatch):
    points = {"objectives": {"squared": "squared_objective:Squared"}}
    packages.install("fgspec-squared", points, {"squared_objective": SQUARED})
    Path("a.yaml").write_text(TRAINED)
    Path("s.yaml").write_text("{fgspec: 1, name: s, base: a.yaml}\n")
    code, _, err = fgspec("sweep", "s.yaml", "--jobs", 1)
    assert (code, err) == (0, "")
    (record,) = Path("runs").rglob("provenance.json")
    run = record.parent
    assert json.loads(record.read_text())["methods"] == {"fgspec-squared": "0.1"}
    assert json.loads(record.read_text())["hashes"]["spec"] == spec_hash(load(run / "spec.yaml"))
    assert json.loads((run / "summary.json").read_text())["step"] == 2
    assert fgspec("train", "--resume", run)[0] == 0
    assert "1 of 1 runs ended already" in fgspec("sweep", "s.yaml", "--jobs", 1)[1]

    packages.install("fgspec-squared", points, version="0.2")
    for given in ([], [run / "spec.yaml"]):
        code, _, err = fgspec("train", *given, "--resume", run)
        assert (code, err) == (
            3,
            f"{run}: cannot be resumed: it started with fgspec-squared 0.1, but 0.2 is installed; "
            "pip install fgspec-squared==0.1, or start a new run\n",
        )
    code, out, _ = fgspec("sweep", "s.yaml", "--list")
    assert (code, "ended already" in out) == (0, False)

    packages.remove("fgspec-squared")
    code, _, err = fgspec("train", "--resume", run)
    assert (code, err) == (
        3,
        f"{run}: its methods come from fgspec-squared 0.1, which is not installed; pip install "
        "fgspec-squared==0.1\n",
    )
