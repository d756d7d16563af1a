"""What version 0.1 wrote is read: its specs mean the same, its runs go on to give their numbers.

`version_0_1/specs` are specs of version 1 of the language, with the hashes of their resolved values
and what they mean: losses, which of them each block learns from, what is perturbed, and which
copies of a loss its elements answer for. `version_0_1/run_folders` are runs with what their newest
checkpoints evaluated to. `docs/versioning.md` makes the promise that is tested here.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from compiler.plan.plan import Plan
from fgspec.api import evaluate, plan
from fgspec.loading.resolved import identity
from fgspec.loading.spec_file import load
from fgspec.problems.problems import SpecError
from fgspec.spec.metrics import today

OLD = Path(__file__).parent / "version_0_1"
RUNS = {
    name: {today(metric): value for metric, value in numbers.items()}
    for name, numbers in json.loads((OLD / "run_folders" / "expected.json").read_text()).items()
}
HASHES = json.loads((OLD / "specs" / "hashes.json").read_text())
PLANS = json.loads((OLD / "specs" / "plans.json").read_text())
"""Of all specs but those whose data, or as many devices, are not here."""
NEW = (
    ("architecture", "activation"),
    ("checkpoint", "best"),
    ("compile", "ynnpack"),
    ("data", "source", "labels"),
    ("data", "validation"),
    ("diagnostics", "noise_scale"),
    ("expect", "verified"),
    ("freeze",),
    ("phases",),
    ("start_from",),
    ("gradient", "exact_every"),
    ("gradient", "perturbation", "projection", "applies_to"),
    ("losses", "local", "objective"),
    ("losses", "classifier_reads"),
    ("losses", "prediction"),
    ("optimizer", "accumulate"),
    ("optimizer", "average"),
    ("optimizer", "clip"),
    ("optimizer", "decay_after_factors"),
    ("optimizer", "factors", "parts"),
    ("training", "stop_early"),
    ("training", "trackers"),
)
"""Fields that the language has got since."""


def _vectorizes(path):
    """Whether a spec, or one that it extends, asks for samples at once."""
    text = path.read_text()
    bases = [line.split()[1] for line in text.splitlines() if line.startswith("extends:")]
    return "samples: vectorized" in text or any(_vectorizes(path.parent / b) for b in bases)


SPECS = [path for path in sorted((OLD / "specs").glob("*.yaml")) if not _vectorizes(path)]
VECTORIZED = [path for path in sorted((OLD / "specs").glob("*.yaml")) if _vectorizes(path)]


def _as_before(values, path):
    """Resolved values as version 0.1 had them: `compile.samples` as the file says, or auto."""
    for *parents, last in NEW:
        at = values
        for key in parents:
            at = (at or {}).get(key)
        if at is not None:
            at.pop(last, None)
    said = re.search(r"^compile: {.*samples: (\w+)", path.read_text(), re.MULTILINE)
    values["compile"]["samples"] = said[1] if said else "auto"
    return values


def test_every_old_spec_is_looked_at():
    assert {path.name for path in SPECS + VECTORIZED} >= HASHES.keys()
    assert len(SPECS) > 30
    assert len(VECTORIZED) >= 2


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_an_old_spec_means_what_it_meant(path):
    values = json.loads(json.dumps(load(path).values()))
    assert identity(_as_before(values, path)) == HASHES[path.name]


def _meaning(of: Plan):
    """What a plan does to the network, as JSON."""
    perturbed = {
        f"{segment.sites[-1].name}: {name}": [*element.shape, *element.route]
        for segment in of.segments
        for name, element in of.perturbed(segment).items()
    }
    return {
        "losses": {site.name: sorted(site.axes) for _, site in of.units},
        "segments": [
            [block.name for block in segment.blocks] + [site.name for site in segment.sites]
            for segment in of.segments
        ],
        "perturbed": perturbed,
        "steps": of.steps,
    }


@pytest.mark.parametrize("name", PLANS)
def test_an_old_spec_does_what_it_did(name):
    assert _meaning(plan(OLD / "specs" / name)) == PLANS[name]


def test_plans_of_old_specs_have_every_kind_of_credit():
    routes = {
        tuple(part for part in entry if isinstance(part, str))
        for spec in PLANS.values()
        for entry in spec["perturbed"].values()
    }
    assert {(), ("group",), ("batch", "patch", "group")} <= routes


@pytest.mark.parametrize("path", VECTORIZED, ids=lambda path: path.stem)
def test_samples_at_once_are_refused_in_one_line_with_the_remedy(path):
    with pytest.raises(SpecError) as error:
        load(path)
    (line,) = str(error.value).splitlines()
    assert "compile.samples: was removed from the language" in line
    assert "remove it (got vectorized)" in line


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The run folders, where nothing that is written hurts."""
    copied = tmp_path_factory.mktemp("old") / "run_folders"
    shutil.copytree(OLD / "run_folders", copied)
    return copied


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_evaluates_to_its_numbers(name, folders):
    assert evaluate(folders / name) == pytest.approx(RUNS[name], rel=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_an_old_resolved_spec_differs_in_nothing_from_itself(name, fgspec):
    path = OLD / "run_folders" / name / "resolved.yaml"
    code, out, _ = fgspec("diff", path, path)
    assert code == 0, out
    assert out.splitlines()[0] == "no field differs"


def test_old_runs_are_reported(folders, tmp_path, fgspec):
    code, out, err = fgspec("report", *(folders / name for name in RUNS), "--out", tmp_path)
    assert code == 0, out + err
    text = (tmp_path / "report.md").read_text()
    for name, numbers in RUNS.items():
        arm = json.loads((folders / name / "summary.json").read_text())
        assert arm["metrics"]["eval/error"] == pytest.approx(numbers["test/error"])
        assert name.split("_")[0] in text
