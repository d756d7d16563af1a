"""What `variance.py` compares: estimators of one target gradient, as specs, in two settings."""

from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

_BASE: Spec = {
    "fgspec": 1,
    "name": "variance",
    "data": {"source": {"type": "digits"}, "batch_size": 128},
    "training": {"steps": 1},
}


@dataclass(frozen=True)
class Setting:
    """One target gradient and its estimators.

    Attributes:
        title: of its tables.
        exact: the spec whose gradient is the target, and that trains the network.
        headed: a spec that trains the heads that guesses read; None if `exact` does.
        estimators: specs by the name they have in the tables.
        leaves_last: whether the last block is left out of all measures, as it takes its exact
            gradient where guesses are made from the network.
    """

    title: str
    exact: Spec
    headed: Spec | None
    estimators: dict[str, Spec]
    leaves_last: bool


def _counted(name: str, counts: tuple[int, ...], spec: Any) -> dict[str, Spec]:
    return {f"{name}, K = {k}": spec(k) for k in counts}


_MIXER: Spec = _BASE | {
    "architecture": {
        "type": "local_mixer",
        "blocks": 2,
        "patches": 2,
        "channels": 128,
        "groups": 16,
        "normalization": {"epsilon": 0.01},
    }
}


def _local(
    guess: str = "rademacher",
    samples: int = 1,
    set: str = "independent",
    space: str = "activation",
    losses: Spec | None = None,
    **more: Any,
) -> Spec:
    """A greedy estimator of local losses, replicated over patches and groups unless told."""
    gradient = _gradient("local", guess, samples, set, space, **more)
    return _MIXER | {"losses": {"local": losses or {}, "isolate": "block"}, "gradient": gradient}


def _gradient(
    target: str,
    guess: str,
    samples: int,
    set: str,
    space: str,
    epsilon: float | None = None,
    **perturbation: Any,
) -> Spec:
    estimator: Spec = {"type": "forward"}
    if epsilon is not None:
        estimator = {"type": "finite_difference", "epsilon": epsilon}
    drawn = {"guess": {"type": guess, "set": set}, "samples": samples, "space": space}
    return {"target": target, "estimator": estimator, "perturbation": drawn | perturbation}


_OPTIMAL: Spec = {"projection": {"type": "optimal"}}
_ONE_COPY: Spec = {"replicate": []}

LOCAL = Setting(
    title="Local losses of the quickstart: LocalMixer, 2 blocks, 4 patches, 16 groups of 8",
    exact=_MIXER | {"rule": "lg-bp"},
    headed=None,
    leaves_last=False,
    estimators={
        **_counted("activation, rademacher", (1, 4, 16), lambda k: _local(samples=k)),
        "activation, normal, K = 1": _local("normal"),
        "activation, sphere, K = 1": _local("sphere"),
        "activation, rademacher, shared by the batch": _local(sharing="batch"),
        **_counted(
            "activation, losses not replicated",
            (1, 16),
            lambda k: _local(samples=k, losses=_ONE_COPY),
        ),
        **_counted("activation, orthogonal", (4, 16), lambda k: _local("normal", k, "orthogonal")),
        "activation, projected, K = 4": _local("normal", 4, "projected"),
        **_counted(
            "activation, not replicated, optimal scale",
            (1, 16),
            lambda k: _local(samples=k, losses=_ONE_COPY, **_OPTIMAL),
        ),
        "activation, finite difference, K = 2": _local(samples=2, epsilon=1e-3),
        "activation, antithetic difference, K = 2": _local(
            samples=2, set="antithetic", epsilon=1e-3
        ),
        "block output, rademacher, K = 1": _local(space="block_output"),
        **_counted("weight, rademacher", (1, 16), lambda k: _local(samples=k, space="weight")),
        "feedback alignment": _MIXER | {"rule": "lg-fa"},
        "sign symmetric": _MIXER
        | {"rule": "lg-fa", "gradient": {"estimator": {"weights": "sign_symmetric"}}},
    },
)

_MLP: Spec = _BASE | {
    "architecture": {
        "type": "mlp",
        "hidden": [256, 256, 256],
        "initialization": "kaiming_uniform",  # its classifier does not begin at zero
    }
}
_HEADS: Spec = {"losses": {"local": {"every": 1}}}


def _global(
    guess: str = "rademacher",
    samples: int = 1,
    set: str = "independent",
    space: str = "activation",
    **more: Any,
) -> Spec:
    return _MLP | {"gradient": _gradient("global", guess, samples, set, space, **more)}


def _guided(guess: str, space: str) -> Spec:
    """The target projected on a guess made from the network."""
    perturbation = {"guess": {"type": guess}, "space": space}
    gradient = {"target": "global", "estimator": {"type": "forward"}, "perturbation": perturbation}
    heads = {} if guess == "jacobian" else _HEADS
    return _MLP | heads | {"gradient": gradient}


def _controlled(control: str | None, space: str, samples: int = 1) -> Spec:
    """Noise around a prediction, with a scalar for each block as predictions have."""
    own = {"control_variate": control} if control else {"last_block": "exact"}
    grouping = {"projection": {"grouping": "block"}}
    heads = _HEADS if control else {}
    return heads | _global(samples=samples, space=space, **own, **grouping)


_TENSOR: Spec = {"projection": {"grouping": "tensor"}}

GLOBAL = Setting(
    title="Final loss of an MLP with three hidden layers of 256; without the last one",
    exact=_MLP | {"rule": "bp"},
    headed=_guided("local", "block_output"),
    leaves_last=True,
    estimators={
        **_counted("activation, rademacher", (1, 4, 16), lambda k: _global(samples=k)),
        "activation, normal, K = 1": _global("normal"),
        "activation, sphere, K = 1": _global("sphere"),
        **_counted("activation, orthogonal", (4, 16), lambda k: _global("normal", k, "orthogonal")),
        **_counted("activation, projected", (4, 16), lambda k: _global("normal", k, "projected")),
        **_counted("activation, optimal scale", (1, 16), lambda k: _global(samples=k, **_OPTIMAL)),
        "activation, finite difference, K = 2": _global(samples=2, epsilon=1e-3),
        **_counted(
            "activation, antithetic difference",
            (2, 16),
            lambda k: _global(samples=k, set="antithetic", epsilon=1e-3),
        ),
        "activation, a scalar a layer, K = 1": _global(**_TENSOR),
        **_counted("weight, rademacher", (1, 16), lambda k: _global(samples=k, space="weight")),
        "weight, a scalar a tensor, K = 1": _global(space="weight", **_TENSOR),
        "block output, rademacher, K = 1": _global(space="block_output"),
        **_counted(
            "block output, a scalar a block",
            (1, 16),
            lambda k: _controlled(None, "block_output", k),
        ),
        **_counted(
            "block output, around the local guess",
            (1, 16),
            lambda k: _controlled("local", "block_output", k),
        ),
        "block output, around the ntk guess, K = 1": _controlled("ntk", "block_output"),
        "activation, around the local guess, K = 1": _controlled("local", "activation"),
        "block output, on the local guess": _guided("local", "block_output"),
        "block output, on the ntk guess": _guided("ntk", "block_output"),
        "block output, on the fixed ntk guess": _guided("fixed_ntk", "block_output"),
        "block output, on the jacobian guess": _guided("jacobian", "block_output"),
        "weight, on the local guess": _guided("local", "weight"),
        "weight, on the jacobian guess": _guided("jacobian", "weight"),
        "feedback alignment": _MLP | {"rule": "fa"},
        "sign symmetric": _MLP
        | {"rule": "fa", "gradient": {"estimator": {"weights": "sign_symmetric"}}},
        "signs": _MLP | {"rule": "fa", "gradient": {"estimator": {"weights": "signs"}}},
        "direct feedback": _MLP | {"rule": "dfa"},
    },
)

SETTINGS = {"local": LOCAL, "global": GLOBAL}
"""By the name that `--setting` takes."""
