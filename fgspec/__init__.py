"""fgspec: a declarative experiment-spec compiler for learning rules beyond backprop.

`load`, `plan`, `compile`, `train`, `evaluate`, `export`, `diff` and `compare` mean what the verbs
of the command line do. `report` returns what that verb writes, `restore` the model that a run
trained, and `metrics` its log as columns. A package that adds a method derives its class from one
of the bases here, such as `Objective`, and imports nothing else of fgspec. All of these are
imported on first use, so that reading a spec does not wait for JAX.
"""

# Rooms are called `loading`, `training`, `comparing`: a package of the name of a verb, once
# imported, would hide the verb.

# The names of __all__ are those of __init__.pyi.
# pyright: reportUnsupportedDunderAll=false

import importlib
from typing import Any

__version__ = "0.1.0"

VERBS = dict.fromkeys(
    (
        "Comparison",
        "DataError",
        "Evaluation",
        "Explanation",
        "Loaded",
        "Model",
        "Probing",
        "Program",
        "Report",
        "ResumeError",
        "RunError",
        "SpecError",
        "State",
        "UserError",
        "compare",
        "compile",
        "diff",
        "evaluate",
        "explain",
        "export",
        "load",
        "metrics",
        "plan",
        "report",
        "restore",
        "train",
    ),
    "fgspec.api",
)
"""What is called, and what it returns and raises; where each is."""

BASES = {
    "Activation": "fgspec.spec.activations",
    "Architecture": "fgspec.spec.architectures",
    "Augmentation": "fgspec.spec.augmentations",
    "Baseline": "fgspec.spec.baselines",
    "BackwardWeights": "fgspec.spec.backward_weights",
    "Clipping": "fgspec.spec.clippings",
    "Coefficient": "fgspec.spec.projections",
    "Estimator": "fgspec.spec.estimators",
    "Granularity": "fgspec.spec.projections",
    "Grouping": "fgspec.spec.projections",
    "Guess": "fgspec.spec.guesses",
    "Head": "fgspec.spec.heads",
    "Initialization": "fgspec.spec.initializations",
    "Layer": "fgspec.spec.layers",
    "Normalization": "fgspec.spec.normalizations",
    "Objective": "fgspec.spec.objectives",
    "Optimizer": "fgspec.spec.optimizers",
    "Prediction": "fgspec.spec.predictions",
    "Rule": "fgspec.spec.rules",
    "SampleSet": "fgspec.spec.sample_sets",
    "Scale": "fgspec.spec.projections",
    "Schedule": "fgspec.spec.schedules",
    "Source": "fgspec.spec.sources",
    "Space": "fgspec.spec.spaces",
    "SweepEngine": "fgspec.sweeps.engines",
    "Target": "fgspec.spec.targets",
    "Tracker": "fgspec.spec.trackers",
}
"""What methods derive from, a base for every table; where each is."""

PARTS = {
    "AnyActivation": "fgspec.spec.activations",
    "AnyInitialization": "fgspec.spec.initializations",
    "Block": "compiler.network.block",
    "Context": "compiler.estimators.context",
    "Coupling": "fgspec.spec.coupling",
    "Dataset": "fgspec.data.dataset",
    "DatasetInfo": "fgspec.spec.dataset_info",
    "Element": "compiler.plan.element",
    "Estimate": "compiler.estimators.context",
    "Extent": "fgspec.spec.shapes",
    "Field": "pydantic",
    "Guide": "compiler.estimators.guesses_from_network",
    "Misfit": "fgspec.spec.shapes",
    "Network": "compiler.network.network",
    "Norm": "compiler.network.norms",
    "ParamSpec": "compiler.network.shapes",
    "PlannedLayer": "compiler.network.shapes:Layer",
    "PrivateAttr": "pydantic",
    "Problem": "fgspec.problems.problems",
    "Readout": "compiler.network.readout",
    "Resume": "fgspec.spec.base",
    "Segment": "compiler.plan.segment",
    "Site": "compiler.plan.segment",
    "TrainedLayer": "fgspec.spec.layers",
    "Unit": "fgspec.spec.base",
    "Values": "fgspec.spec.base",
    "flat": "fgspec.spec.shapes",
    "forward": "compiler.network.network",
    "full": "compiler.network.extend",
    "layerwise": "compiler.estimators.pull_back",
    "layers_in": "compiler.network.network",
    "sent_to_layers": "compiler.estimators.direct_feedback",
}
"""What methods are made of; where each is, and its name there if it is another."""

_PLACES = {**VERBS, **BASES, **PARTS}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first asked for."""
    if name in _PLACES:
        module, _, other = _PLACES[name].partition(":")
        return getattr(importlib.import_module(module), other or name)
    raise AttributeError(f"module fgspec has no attribute {name}")


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
