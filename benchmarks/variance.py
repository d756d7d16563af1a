"""Bias, variance and time of estimators of one gradient, on real images, as training runs them.

python benchmarks/variance.py [--draws N] [--setting local|global] [--out FILE]
"""

import argparse
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from estimators import SETTINGS, Setting

from compiler.compile import compile_plan
from compiler.plan.plan import make_plan
from compiler.quality.statistics import Quality, quality
from compiler.update.diagnose import draws, flat, moments
from compiler.update.program import Program
from fgspec.data.describe import describe
from fgspec.data.sources import read
from fgspec.loading.spec_file import loads

ROUNDS = 16
"""Groups of draws whose means tell how sure the bias is."""

TRAINED = 500
"""Steps of gradient descent before the second table."""

_RATE = 0.1
_NOTHING = 1e-30
"""Lost in the rounding of 1 + it."""

_FEWEST = 4
"""Draws in a round at least."""


def compiled(spec: Mapping[str, Any]) -> Program:
    """The program of a spec on its data."""
    experiment = loads(json.dumps(spec)).experiment
    return compile_plan(make_plan(experiment, describe(experiment.data.source)))


def _state(program: Program, params: Mapping[str, Any]) -> Any:
    """The program's first state with the parameters that all programs share."""
    state = program.init(0)
    return state._replace(params={name: params[name] for name in state.params})


def _trained(setting: Setting, params: Any, batches: Iterable[Any]) -> Any:
    """Parameters after gradient descent on the exact gradient; heads on that of their own loss."""
    programs = [compiled(spec) for spec in (setting.headed, setting.exact) if spec is not None]

    @jax.jit
    def step(params: Any, batch: Any) -> Any:
        grads: dict[str, Any] = {}
        for program in programs:
            grads |= program.gradient(_state(program, params), batch)[0]
        return jax.tree.map(lambda p, g: p - _RATE * g, params, grads)

    for batch in batches:
        params = step(params, batch)
    return params


def _batches(count: int, size: int, source: Any) -> list[dict[str, Any]]:
    data, rng = read(source), np.random.default_rng(0)
    rows = [rng.choice(len(data.train_labels), size, replace=False) for _ in range(count)]
    return [{"image": data.train_images[i], "label": data.train_labels[i]} for i in rows]


class Probe:
    """One estimator: the moments of one round of draws, compiled, and what its rounds found."""

    def __init__(self, spec: Mapping[str, Any], kept: tuple[str, ...], count: int) -> None:
        """Of the blocks in `kept`, by about `count` perturbations in all."""
        self.program, self.kept = compiled(spec), kept
        perturbation = self.program.plan.experiment.gradient.perturbation
        samples = perturbation.samples if perturbation is not None else 1
        drawn = count // (ROUNDS * samples) if draws(self.program.plan) else 0
        self.each = max(drawn, _FEWEST)
        self.round = jax.jit(self._round)
        self.seconds: list[float] = []

    def _vector(self, state: Any, batch: Any) -> Any:
        blocks = self.program.gradient(state, batch)[0]["blocks"]
        return flat({name: blocks[name] for name in self.kept})

    def _round(self, params: Any, batch: Any, target: Any, first: Any) -> Any:
        """Moments of one round; noise is a function of the step, so every step is a draw."""

        def one(step: Any) -> Any:
            # XLA would compute once for all steps what does not depend on the step.
            same = 1 + _NOTHING * step.astype(jnp.float32)
            own = jax.tree.map(lambda part: part * same, params)
            return {"": self._vector(_state(self.program, own)._replace(step=step), batch)}

        steps = first + jnp.arange(self.each, dtype=jnp.int32)
        return moments(one, {"": target}, steps)[""]

    def exact(self, params: Any, batch: Any) -> Any:
        """The gradient itself, [d].

        Nothing is closed over: XLA folds constants with other rounding, and a blank patch of a new
        network is on the kink of a ReLU.
        """
        return self._vector(_state(self.program, params), batch)

    def run(self, params: Any, batch: Any, target: Any, index: int) -> Any:
        """One round on the host, timed; the first is the compiler's and has no time."""
        first = jnp.asarray(index * self.each, jnp.int32)
        if not self.seconds:
            jax.block_until_ready(self.round(params, batch, target, first))
        started = time.perf_counter()
        found = jax.block_until_ready(self.round(params, batch, target, first))
        self.seconds.append((time.perf_counter() - started) / self.each)
        return jax.device_get(found)


def _measure(probes: Mapping[str, Probe], params: Any, batch: Any, target: Any) -> dict[str, Any]:
    """Quality of every estimator; they take turns, so that all share what disturbs their times."""
    rounds: dict[str, list[Any]] = {name: [] for name in probes}
    for index in range(ROUNDS):
        for name, probe in probes.items():
            rounds[name].append(probe.run(params, batch, target, index))
    wanted, found = np.asarray(target, np.float64), {}
    for name, own in rounds.items():
        means, variances, cosines = (np.stack(part) for part in zip(*own, strict=True))
        found[name] = quality(means, variances, float(cosines.mean()), wanted)._asdict()
    if found["exact"]["error"] > 1e-6:
        raise RuntimeError("the exact gradient is not the target")
    return found


def measured(setting: Setting, count: int) -> dict[str, Any]:
    """Quality of every estimator by the state of the network, and the time of each."""
    reference = compiled(setting.exact)
    names = tuple(block.name for block in reference.plan.network.blocks)
    kept = names[:-1] if setting.leaves_last else names
    specs = {"exact": setting.exact, **setting.estimators}
    probes = {name: Probe(spec, kept, count) for name, spec in specs.items()}
    headed = reference if setting.headed is None else compiled(setting.headed)
    params = headed.init(0).params
    experiment = reference.plan.experiment
    batch, *others = _batches(1 + TRAINED, experiment.data.batch_size, experiment.data.source)
    batch = jax.tree.map(jnp.asarray, batch)
    found: dict[str, Any] = {"title": setting.title, "numbers": 0, "quality": {}}
    for state in ("at initialisation", f"after {TRAINED} steps"):
        if found["quality"]:
            params = _trained(setting, params, others)
        target = probes["exact"].exact(params, batch)
        found["numbers"] = target.size
        found["quality"][state] = _measure(probes, params, batch, target)
    found["seconds"] = {name: float(np.median(own.seconds)) for name, own in probes.items()}
    return found


_HEAD = (
    "estimator", "along", "bias", "variance", "cosine", "error", "time", "gain", "progress a time"
)  # fmt: skip


def _cells(own: Quality, ratio: float) -> tuple[str, ...]:
    """What the table says of one estimator whose time is `ratio` times that of the exact one."""
    drawn, exact = own.variance > 1e-9, own.error < 1e-9
    bias = f"{own.bias:.3g} ± {own.bias_error:.1g}" if drawn else f"{own.bias:.3g}"
    return (
        f"{own.along:.3g} ± {own.along_error:.1g}" if drawn else f"{own.along:.3g}",
        f"unbiased (< {own.bias_error:.2g})" if own.unbiased and drawn else "0" if exact else bias,
        f"{own.variance:.3g}" if drawn else "0",
        f"{own.cosine:.3f}",
        "0" if exact else f"{own.error:.3g}",
        f"{ratio:.2f}",
        "" if exact else f"{1 / (own.error * ratio):.2g}",
        f"{own.progress / ratio:.2g}",
    )


def table(found: Mapping[str, Any], state: str) -> str:
    """Markdown of one setting's measures in one state."""
    whole = found["seconds"]["exact"]
    lines = ["| " + " | ".join(_HEAD) + " |", "|---" + "|---:" * (len(_HEAD) - 1) + "|"]
    for name, values in found["quality"][state].items():
        own, ratio = Quality(**values), found["seconds"][name] / whole
        lines.append("| " + " | ".join((name, *_cells(own, ratio))) + " |")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=256, help="perturbations, K to an estimate")
    parser.add_argument("--setting", choices=SETTINGS, help="one of the two; both by default")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    options = parser.parse_args()
    results: dict[str, Any] = {"jax": jax.__version__, "draws": options.draws, "settings": {}}
    for name, setting in SETTINGS.items():
        if options.setting not in (None, name):
            continue
        found = results["settings"][name] = measured(setting, options.draws)
        for state in found["quality"]:
            print(f"\n### {setting.title}, {state}\n\n{table(found, state)}", flush=True)
        if options.out is not None:
            options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
