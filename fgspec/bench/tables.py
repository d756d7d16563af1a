"""The results of `fgspec bench` as text."""

from collections.abc import Callable, Mapping
from typing import Any

from fgspec.show.text import columns, mebibytes, quantity


def lines(results: Mapping[str, Any]) -> list[str]:
    """The results as text: a table of times, a table of costs, and notes.

    Args:
        results: a mapping with the keys `rounds`, `against`, `environment` and `specs`.
    """
    specs, environment = results["specs"], results["environment"]
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
    for spec in specs:
        step_time, ratio, compiling = spec["step_time_s"], spec["ratio"], spec["compile_s"]
        pace = (_three(spec["steps_per_s"]), _three(spec["examples_per_s"]))
        milliseconds = _cells(step_time, lambda seconds: _three(seconds * 1e3))
        speed.append((spec["name"], *milliseconds, *_cells(ratio, "{:.2f}".format), *pace))
        memory = [mebibytes(spec["memory"][f"{kind}_bytes"]) for kind in ("temporary", "argument")]
        flops = [quantity(spec["flops"][by]) for by in ("plan", "xla")]
        compiled = [f"{compiling[part]:.2f} s" for part in ("lowering", "xla")]
        cost.append((spec["name"], *compiled, *memory, *flops))
    odd = [
        f"note: {spec['name']}: a loss is not finite on these random images; on real data a step "
        "may be faster or slower"
        for spec in specs
        if not spec["finite"]
    ]
    head = f"medians and quartiles over {results['rounds']} rounds, on random images; {machine}"
    return [head, "", *columns(speed), "", *columns(cost), *odd]


def _three(value: float) -> str:
    """A number with three digits and no exponent: `6.31`, `2,250`, `0.0042`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _cells(values: Mapping[str, Any], shown: Callable[[float], str]) -> tuple[str, str]:
    low, middle, high = (shown(values[f]) for f in ("lower_quartile", "median", "upper_quartile"))
    return middle, f"{low}-{high}"
