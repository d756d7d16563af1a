"""Rooms point one way, the language knows no JAX, and nobody asks which method something is."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest

import fgspec
from fgspec.spec.experiment import SpecFile
from fgspec.spec.kinds import TABLES, Kind, names_of
from fgspec.spec.language import models_of
from fgspec.spec.sweep import Draw, SweepFile

ROOT = Path(__file__).parents[1]

ROOMS = [
    "fgspec.errors",
    "fgspec.xla_error",
    "fgspec.yaml",
    "fgspec.problems",
    "fgspec.formulas",
    "fgspec.spec",
    "compiler.named_arrays",
    "compiler.network",
    "compiler.augment",
    "compiler.objectives",
    "compiler.plan",
    "compiler.estimators",
    "compiler.optimizers",
    "compiler.update",
    "compiler.cost",
    "compiler.compile",
    "compiler.quality",
    "compiler.equivalence",
    "compiler.flax_modules",
    "fgspec.check",
    "fgspec.loading",
    "fgspec.reference",
    "fgspec.data",
    "fgspec.show",
    "fgspec.explaining",
    "fgspec.processes",
    "fgspec.training",
    "fgspec.bench",
    "fgspec.trained",
    "fgspec.sweeps",
    "fgspec.results",
    "fgspec.comparing",
    "fgspec.testing",
    "fgspec.notebook",
    "fgspec.api",
    "fgspec.cli",
]
"""Every room, after all that it imports."""


def _name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    _name(path): ast.parse(path.read_text())
    for package in ("fgspec", "compiler")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.name != "__main__.py"
}


def _room(module):
    return ".".join(module.split(".")[:2])


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in MODULES else node.module


def _arrows():
    for name, tree in MODULES.items():
        for other in _imports(tree):
            if other in MODULES and _room(other) != _room(name) and "." in name:
                yield name, other


def test_every_module_is_in_a_room():
    roots = {"fgspec", "compiler"}
    assert {_room(name) for name in MODULES} - roots == set(ROOMS)


def test_rooms_import_one_way():
    wrong = [
        f"{name} imports {other}"
        for name, other in _arrows()
        if ROOMS.index(_room(other)) >= ROOMS.index(_room(name))
    ]
    assert wrong == []


def test_the_compiler_knows_the_spec_and_the_errors_only():
    wrong = [
        f"{name} imports {other}"
        for name, other in _arrows()
        if name.startswith("compiler")
        and other.startswith("fgspec")
        and _room(other) not in ("fgspec.spec", "fgspec.errors")
    ]
    assert wrong == []


def test_imports_stand_at_the_top():
    wrong = [
        name
        for name, tree in MODULES.items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert wrong == []


def test_check_waits_for_neither_jax_nor_scikit_learn():
    code = (
        "import sys, fgspec.cli.check_\n"
        "fgspec.cli.check_.run([__import__('pathlib').Path('specs/quickstart.yaml')], None)\n"
        "print([m for m in ('jax', 'sklearn', 'grain', 'orbax', 'optax') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert found.stdout.splitlines()[-1] == "[]"


def test_training_does_not_wait_for_the_statistics_of_reports():
    code = "import sys, fgspec.api, fgspec.cli.train_; print('scipy.stats' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_public_names():
    """Verbs, a base for every table, and what methods are made of; the stub says the same."""
    assert all(getattr(fgspec, name) is not None for name in fgspec.__all__)
    bases = {table.base_name().removeprefix("fgspec.") for table in TABLES.values()}
    assert bases == set(fgspec.BASES)
    stub = (ROOT / "fgspec" / "__init__.pyi").read_text()
    assert all(f" as {name}\n" in stub for name in fgspec.__all__)
    assert stub.count("import") == len(fgspec.__all__)


# --------------------------------------------------------------------- nobody asks which it is


def _every_kind():
    for table in TABLES.values():
        yield from table.kinds().values()


NAMES = {name for kind in _every_kind() for name in names_of(kind)}
CLASSES = {
    f"{cls.__module__}.{cls.__qualname__}"
    for kind in _every_kind()
    for cls in kind.__mro__
    if issubclass(cls, Kind) and cls is not Kind and names_of(cls)
}


def _literals(annotation):
    if get_origin(annotation) is Literal:
        yield from (part for part in get_args(annotation) if isinstance(part, str))
    for part in get_args(annotation):
        yield from _literals(part)


def _words():
    """Values of fields that name no method, and the named axes, which may be compared."""
    left, seen = [SpecFile, SweepFile, Draw], set()
    while left:
        model = left.pop()
        if model in seen:
            continue
        seen.add(model)
        for name, field in model.model_fields.items():
            if name != "type":
                yield from _literals(field.annotation)
            left += models_of([field], None)
    yield from ("batch", "patch", "group", "channel", "final", "weight", "scale")


OTHER_WORDS = set(_words())

ALLOWED = {
    "fgspec.loading.merge": "`none` has no fields that a base could have given it",
    "fgspec.problems.problems": "kinds of origins, which are no methods",
}
"""Modules that may compare a word that is also a method's name, and why."""


def _imported(tree):
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _asks(name, tree):
    """Comparisons, memberships, matches and instance checks on the name or class of a method."""
    imported = _imported(tree)

    def is_class(node):
        text = ast.unparse(node)
        head, _, rest = text.partition(".")
        full = imported.get(head, f"{name}.{head}") + (f".{rest}" if rest else "")
        return full in CLASSES and not full.startswith(f"{name}.")

    def is_name(node):
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return any(map(is_name, node.elts))
        constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
        return constant and node.value in NAMES - OTHER_WORDS

    def of_type(node):
        return isinstance(node, ast.Attribute) and node.attr == "type"

    for node in ast.walk(tree):
        where = f"{name}:{getattr(node, 'lineno', 0)}: "
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            none = any(isinstance(side, ast.Constant) and side.value is None for side in sides)
            if any(map(is_name, sides)) or (any(map(of_type, sides)) and not none):
                yield where + ast.unparse(node)
            if any(
                isinstance(n, ast.Call) and is_class(n.func)
                for side in sides
                for n in ast.walk(side)
            ):
                yield where + ast.unparse(node)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
            classes = node.args[1]
            parts = classes.elts if isinstance(classes, ast.Tuple) else [classes]
            parts = [
                p
                for part in parts
                for p in ast.walk(part)
                if isinstance(p, ast.Name | ast.Attribute)
            ]
            if any(map(is_class, parts)):
                yield where + ast.unparse(node)
        elif isinstance(node, ast.MatchValue) and is_name(node.value):
            yield where + ast.unparse(node.value)
        elif isinstance(node, ast.MatchClass) and is_class(node.cls):
            yield where + ast.unparse(node.cls)


def test_nobody_asks_which_method_it_is():
    wrong = [
        found
        for name, tree in MODULES.items()
        if name not in ALLOWED
        for found in _asks(name, tree)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "code",
    [
        "if thing == 'lg-fg-a': pass",
        "if spec.guess.type in ('normal', 'sphere'): pass",
        "if x.type == kind or x.type != 'anything': pass",
        "from fgspec.spec.estimators import Exact\nisinstance(e, Exact)",
        "from fgspec.spec import estimators as est\nisinstance(e, (int, est.Forward))",
        "from fgspec.spec.targets import Global\nif t == Global(): pass",
        "match x:\n    case 'cross_entropy': pass",
    ],
)
def test_whoever_asks_is_found(code):
    assert list(_asks("some.module", ast.parse(code)))


# --------------------------------------------------------- a section and what it does are one


def _pairs():
    for table in TABLES.values():
        for name, kind in table.kinds().items():
            if kind.behaviour is not None:
                yield pytest.param(kind, id=f"{table.group}:{name}")


@pytest.mark.parametrize("kind", list(_pairs()))
def test_a_section_and_its_behaviour_belong_together(kind):
    """The behaviour is below its section, under the same name, and adds no field."""
    module, _, name = kind.behaviour.partition(":")
    full = getattr(importlib.import_module(module), name)
    assert issubclass(full, kind)
    assert set(full.model_fields) == set(kind.model_fields)
    assert names_of(full) == names_of(kind)
    assert any(
        own in vars(cls)
        for cls in full.__mro__
        if cls not in kind.__mro__
        for own in vars(cls)
        if not own.startswith("__")
    )
