"""Imports point one way, the language knows no JAX, and the public names are these."""

import ast
import subprocess
import sys
from pathlib import Path

import fgspec

ROOT = Path(__file__).parents[1]

ORDER = [
    "fgspec",
    "fgspec.errors",
    "fgspec.yaml.scalars",
    "fgspec.yaml.load",
    "fgspec.problems.problems",
    "fgspec.errors.extras",
    "fgspec.plugins",
    "fgspec.spec",
    "fgspec.spec.base",
    "fgspec.spec.ablation",
    "fgspec.spec.data",
    "fgspec.spec.layer",
    "fgspec.spec.architecture",
    "fgspec.spec.losses",
    "fgspec.spec.mesh",
    "fgspec.spec.structure",
    "fgspec.spec.gradient",
    "fgspec.spec.optimizer",
    "fgspec.spec.run",
    "fgspec.loading.rules",
    "fgspec.loading.shorthand",
    "fgspec.spec.experiment",
    "fgspec.spec.sweep",
    "fgspec.check.perturbation",
    "fgspec.spec.scanning",
    "fgspec.spec.directional",
    "fgspec.check.compile_options",
    "fgspec.check.consistency",
    "fgspec.loading.defaults",
    "fgspec.loading.field_errors",
    "fgspec.loading.merge",
    "fgspec.loading.spec_file",
    "fgspec.loading.resolved",
    "fgspec.comparing.contract",
    "fgspec.loading.template",
    "fgspec.data",
    "fgspec.data.dataset",
    "fgspec.data.places",
    "fgspec.data.numpy_pickle",
    "fgspec.data.npz",
    "fgspec.data.image_files",
    "fgspec.data.image_folder",
    "fgspec.data.describe",
    "fgspec.data.published",
    "fgspec.data.digits",
    "fgspec.data.mnist",
    "fgspec.data.cifar10",
    "fgspec.data.imagenet",
    "fgspec.data.synthetic",
    "fgspec.data.sources",
    "fgspec.data.pipeline",
    "fgspec.training.manifest",
    "fgspec.training.checkpoint",
    "fgspec.training.logbook",
    "fgspec.training.provenance",
    "fgspec.show.text",
    "fgspec.training.run_folder",
    "fgspec.training.compile_cache",
    "fgspec.training.out_of_memory",
    "fgspec.processes.join",
    "fgspec.processes.supervise",
    "fgspec.training.loop",
    "fgspec.training.profile",
    "fgspec.bench.measure",
    "fgspec.bench.plot",
    "fgspec.training.run",
    "fgspec.sweeps",
    "fgspec.sweeps.expand",
    "fgspec.sweeps.folder",
    "fgspec.sweeps.node",
    "fgspec.sweeps.engine",
    "fgspec.sweeps.processes",
    "fgspec.sweeps.on_ray",
    "fgspec.sweeps.on_slurm",
    "fgspec.sweeps.engines",
    "fgspec.sweeps.show",
    "fgspec.results",
    "fgspec.results.collect",
    "fgspec.results.statistics",
    "fgspec.results.figures",
    "benchmarks.law_figure",
    "fgspec.results.pages",
    "fgspec.results.compose",
    "fgspec.results.cells",
    "compiler",
    "compiler.network",
    "compiler.network.extent",
    "compiler.layout",
    "fgspec.check.mesh",
    "fgspec.check.against_data",
    "compiler.named_arrays.axes",
    "compiler.named_arrays.paths",
    "compiler.named_arrays.random_streams",
    "compiler.network.feedback",
    "compiler.network.norms",
    "compiler.network.shapes",
    "compiler.network.spatial",
    "compiler.network.linear",
    "compiler.network.layers",
    "compiler.network.block",
    "compiler.network.readout",
    "compiler.network.network",
    "compiler.network.running",
    "compiler.network.initialize",
    "compiler.network.extend",
    "compiler.network.conv_nets",
    "compiler.network.architectures",
    "compiler.augment",
    "compiler.augment.colour",
    "compiler.augment.geometry",
    "compiler.augment.recipes",
    "compiler.losses",
    "compiler.losses.objectives",
    "compiler.network.heads",
    "compiler.objectives.replicated",
    "compiler.gradient",
    "compiler.plan.segment",
    "compiler.plan.credit",
    "compiler.estimators.pull_back",
    "compiler.estimators.exact",
    "compiler.estimators.direct_feedback",
    "compiler.estimators.sample_sets",
    "compiler.estimators.spaces",
    "compiler.estimators.joint_derivatives",
    "compiler.estimators.forward",
    "compiler.estimators.example_gradients",
    "compiler.estimators.grouped_derivatives",
    "compiler.estimators.projections",
    "compiler.plan.stacks",
    "compiler.perturbing",
    "compiler.plan.plan",
    "compiler.plan.sharding",
    "compiler.update.state",
    "compiler.analyze",
    "compiler.cost.operations",
    "compiler.cost.fusion",
    "compiler.cost.memory",
    "compiler.cost.flops",
    "compiler.cost.elementwise",
    "compiler.cost.cost",
    "compiler.cost.pipeline_stages",
    "compiler.cost.updates_per_call",
    "compiler.cost.compiled_traffic",
    "compiler.cost.predicted_traffic",
    "compiler.cost.scaling",
    "compiler.estimators.site_losses",
    "compiler.estimators.guesses_from_network",
    "compiler.estimators.projecting",
    "compiler.estimators.context",
    "compiler.update.diagnose",
    "compiler.optimizers.make",
    "compiler.update.forward_passes",
    "compiler.update.block_by_block",
    "compiler.update.pipeline",
    "compiler.update.program",
    "compiler.cost.compiled",
    "compiler.cost.scopes",
    "compiler.cost.by_part",
    "compiler.equivalence.parameters",
    "compiler.equivalence.value_digest",
    "compiler.equivalence.loops",
    "compiler.equivalence.digest",
    "compiler.equivalence.streams",
    "compiler.equivalence.fingerprint",
    "compiler.equivalence.consequences",
    "compiler.quality.statistics",
    "compiler.quality.probe",
    "fgspec.show.plan_tables",
    "fgspec.show.bias_notes",
    "fgspec.comparing.comparison",
    "benchmarks.variance_laws",
    "fgspec.training.device_calls",
    "fgspec.api",
    "fgspec.cli",
    "fgspec.cli.options",
    "fgspec.cli.joining",
    "fgspec.cli.check_",
    "fgspec.cli.show_",
    "fgspec.cli.schema_",
    "fgspec.comparing.as_text",
    "fgspec.comparing.as_html",
    "fgspec.cli.diff_",
    "fgspec.cli.plan_",
    "fgspec.cli.train_",
    "fgspec.cli.launch_",
    "fgspec.cli.eval_",
    "fgspec.cli.bench_",
    "fgspec.cli.init_",
    "fgspec.cli.sweep_",
    "fgspec.cli.status_",
    "fgspec.cli.report_",
    "fgspec.cli.reproduce_",
    "fgspec.cli.main",
    "fgspec.__main__",
]
"""Every module, after all that it imports."""

ROOTS = ("fgspec.api", "fgspec.training.device_calls", "fgspec.cli", "fgspec.comparing.comparison")
"""Where language and compiler meet; nothing else in fgspec may import the compiler."""


def _name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _modules():
    files = [p for package in ("fgspec", "compiler") for p in (ROOT / package).rglob("*.py")]
    return {_name(path): ast.parse(path.read_text()) for path in files}


MODULES = _modules()


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in MODULES else node.module


def test_the_order_names_every_module_once():
    assert sorted(ORDER) == sorted(MODULES)


def test_imports_point_one_way():
    wrong = [
        f"{name} imports {other}"
        for name, tree in MODULES.items()
        for other in _imports(tree)
        if other in MODULES and ORDER.index(other) >= ORDER.index(name)
    ]
    assert wrong == []


def test_only_the_roots_join_language_and_compiler():
    wrong = [
        f"{name} imports {other}"
        for name, tree in MODULES.items()
        if name.startswith("fgspec") and not name.startswith(ROOTS)
        for other in _imports(tree)
        if other.split(".")[0] == "compiler"
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
        "print([m for m in ('jax', 'sklearn', 'grain', 'orbax', 'optax') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_public_names():
    assert fgspec.__all__ == [
        "Comparison",
        "DataError",
        "Loaded",
        "Probing",
        "Program",
        "ResumeError",
        "RunError",
        "SpecError",
        "State",
        "UserError",
        "compare",
        "compile",
        "diff",
        "evaluate",
        "load",
        "plan",
        "train",
    ]
    assert all(getattr(fgspec, name) is not None for name in fgspec.__all__)
    stub = (ROOT / "fgspec" / "__init__.pyi").read_text()
    assert all(f"import {name} as {name}\n" in stub for name in fgspec.__all__)


def test_files_stay_small():
    long = [n for n in MODULES if len((ROOT / _file(n)).read_text().splitlines()) > 300]
    assert long == []


def _file(name):
    path = Path(*name.split("."))
    return path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py")
