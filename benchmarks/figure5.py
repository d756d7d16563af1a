"""Fused against naive replicated losses, as figure 5 of Ren et al. 2022: memory and time by groups.

    python benchmarks/figure5.py [--plot FILE.png]

One loss of a linear head on features of M/8/16 (batch 128, 64 patches, 512 channels), replicated
over patches and groups: its copies with their tangents, and its gradient. Naive copies of 64
patches take minutes, so those are of 4 patches.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from compiler.objectives.replicated import LOWERINGS
from fgspec.spec.kinds import working
from fgspec.spec.objectives import CrossEntropy

BATCH, PATCHES, CHANNELS, CLASSES = 128, 64, 512, 10
GROUPS = (1, 2, 4, 8, 16, 32, 64)


def _functions(lowering: str) -> dict[str, Callable[..., Any]]:
    labels = jnp.arange(BATCH) % CLASSES

    def value(weights: Any, mean: Any) -> Any:
        return working(CrossEntropy()).value(mean @ weights, labels)

    copies = LOWERINGS[lowering](value, ("patch", "group"))

    def tangent(w: Any, x: Any, dx: Any) -> Any:
        return jax.jvp(lambda x: copies(w, x), (x,), (dx,))

    def gradient(w: Any, x: Any, dx: Any) -> Any:
        return jax.grad(lambda x: copies(w, x).sum())(x)

    return {"tangent": tangent, "gradient": gradient}


def _measured(function: Callable[..., Any], patches: int, groups: int) -> tuple[float, float]:
    """Median milliseconds, and MiB of temporaries."""
    keys = jax.random.split(jax.random.key(0), 3)
    shape = (BATCH, patches, groups, CHANNELS // groups)
    w = jax.random.normal(keys[0], (CHANNELS, CLASSES)) / CHANNELS**0.5
    x, dx = (jax.random.normal(key, shape) for key in keys[1:])
    compiled = jax.jit(function).lower(w, x, dx).compile()
    memory: Any = compiled.memory_analysis()
    taken = []
    for _ in range(8):
        began = time.perf_counter()
        jax.block_until_ready(compiled(w, x, dx))
        taken.append(time.perf_counter() - began)
    return float(np.median(taken[1:])) * 1e3, memory.temp_size_in_bytes / 2**20


def main() -> None:
    """Print the table, and draw it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path)
    plot = parser.parse_args().plot
    cases = [("fused", PATCHES), ("fused", 4), ("naive", 4)]
    found: dict[str, list[tuple[float, float]]] = {}
    print("| what | " + " | ".join(f"{g} groups" for g in GROUPS) + " |")
    print("|" + " --- |" * (len(GROUPS) + 1))
    for lowering, patches in cases:
        for name, function in _functions(lowering).items():
            label = f"{lowering}, {patches} patches, {name}"
            found[label] = [_measured(function, patches, g) for g in GROUPS]
            cells = (f"{took:.3g} ms, {memory:.3g} MiB" for took, memory in found[label])
            print(f"| {label} | {' | '.join(cells)} |", flush=True)
    if plot is not None:
        _draw(found, plot)


def _draw(found: dict[str, list[tuple[float, float]]], file: Path) -> None:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for label, rows in found.items():
        style = "--" if label.startswith("naive") else "-"
        for axis, values in zip(axes, zip(*rows, strict=True), strict=True):
            axis.plot(GROUPS, values, style, marker="o", markersize=3, label=label)
    for axis, what in zip(axes, ("milliseconds", "temporaries, MiB"), strict=True):
        axis.set(xscale="log", yscale="log", xlabel="groups", ylabel=what)
        axis.set_xticks(GROUPS, [str(g) for g in GROUPS])
    axes[1].legend(fontsize=7)
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main()
