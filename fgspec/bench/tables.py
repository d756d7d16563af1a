"""The results of `fgspec bench` as text."""

from collections.abc import Callable, Mapping
from typing import Any

from fgspec.show.text import columns, mebibytes, quantity


def lines(results: Mapping[str, Any]) -> list[str]:
    """The results as text: a table of times, a table of costs, and notes.

    Args:
        results: with the keys `rounds`, `against`, `environment` and `specs`.
    """
    found, environment = results["specs"], results["environment"]
    devices = ", ".join(f"{d['count']} x {d['kind']}" for d in environment["devices"])
    machine = f"jax {environment['packages']['jax']} on {devices}, {environment['cpus']} CPU cores"
    against = f"ratio to {results['against']}"
    speed: list[tuple[str, ...]] = [
        ("time per step", "ms", "quartiles", against, "quartiles", "steps/s", "examples/s")
    ]
    cost: list[tuple[str, ...]] = [
        (
            "cost",
            "tracing",
            "XLA compiles",
            "temporary arrays",
            "state and batches",
            "FLOPs per step",
            "XLA counts",
        )
    ]
    for one in found:
        took, ratio, compiling = one["step_time_s"], one["ratio"], one["compile_s"]
        pace = (_three(one["steps_per_s"]), _three(one["examples_per_s"]))
        milliseconds = _cells(took, lambda seconds: _three(seconds * 1e3))
        speed.append((one["name"], *milliseconds, *_cells(ratio, "{:.2f}".format), *pace))
        memory = [mebibytes(one["memory"][f"{kind}_bytes"]) for kind in ("temporary", "argument")]
        flops = [quantity(one["flops"][by]) for by in ("plan", "xla")]
        compiled = [f"{compiling[part]:.2f} s" for part in ("lowering", "xla")]
        cost.append((one["name"], *compiled, *memory, *flops))
    odd = [
        f"note: {one['name']}: a loss is not finite on these random images; on real data a step "
        "may take another time"
        for one in found
        if not one["finite"]
    ]
    head = f"medians and quartiles over {results['rounds']} rounds, on random images; {machine}"
    return [head, "", *columns(speed), "", *columns(cost), *odd]


def _three(value: float) -> str:
    """Three digits, and no exponent: `6.31`, `2,250`, `0.0042`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _cells(values: Mapping[str, Any], shown: Callable[[float], str]) -> tuple[str, str]:
    low, middle, high = (shown(values[f]) for f in ("lower_quartile", "median", "upper_quartile"))
    return middle, f"{low}-{high}"
