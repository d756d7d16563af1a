"""Updates on the device that JAX finds: time, FLOP/s and bytes/s against its measured ceilings.

    python benchmarks/accelerator.py [--minutes M] [--out NAME] [--networks NAME ...] [--rounds N]

It needs what fgspec compiles with, and nothing that reads data or writes checkpoints. First the
device is measured by itself: matrix products in each precision, and a pass over large arrays. Then
noise and the losses of a hundred updates are compared with those of a CPU. Then all rules take
turns, network by network and precision by precision, beside plain JAX (`by_hand.py`) where a
network has it. Ratios are to backprop, within a round. At the end stand the five dearest operations
of one update by JAX's profiler. What there was no time for is named.

Writes NAME.md and NAME.json, `accelerator` by default.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import by_hand
import jax
import jax.numpy as jnp
import markdown_tables
import numpy as np
from compare_checkouts import spec_of

from compiler.compile import compile_plan
from compiler.cost.by_part import dissect
from compiler.cost.compiled import (
    compile_for_memory,
    lower_update,
    random_records,
    reported,
    ynnpack,
)
from compiler.cost.updates_per_call import Calls, calls_of
from compiler.estimators.guesses import normal, signs
from compiler.named_arrays.precision import ARITHMETIC
from compiler.named_arrays.random_streams import address, key_data
from compiler.plan.plan import make_plan
from compiler.update.program import Program
from compiler.update.state import by_name
from fgspec.bench.measure import Subject, measure, times
from fgspec.data.describe import describe
from fgspec.loading.spec_file import loads

BATCH = 128
PRECISIONS = ("bfloat16", "tf32", "float32")


class Setting(NamedTuple):
    """A network and the images that it reads."""

    source: str
    architecture: Mapping[str, Any]


def _mixer(source: str, blocks: int, patches: int, channels: int, groups: int) -> Setting:
    """As in `specs/ren2022/table3`."""
    norm = {"type": "local_layer_norm", "placement": ["before_linear", "after_linear"]}
    sizes = {"blocks": blocks, "patches": patches, "channels": channels, "groups": groups}
    return Setting(source, {"type": "local_mixer", **sizes, "normalization": norm})


NETWORKS = {
    "M/8/16, 4 blocks": _mixer("cifar10", 4, 8, 512, 16),
    "S/1/1": _mixer("mnist", 1, 1, 256, 1),
    "M/1/16": _mixer("mnist", 1, 1, 512, 16),
    "M/8/16, 16 blocks": _mixer("cifar10", 16, 8, 512, 16),
    "ResNet-18, 8 blocks": Setting("cifar10", {"type": "resnet18", "blocks": 8}),
}
"""In the order in which they are measured: what matters most comes first."""

RULES = {
    "BP": ("bp", ""),
    "LG-BP": ("lg-bp", ""),
    "LG-FG-A": ("lg-fg-a", "rademacher"),
    "LG-FG-A, normal": ("lg-fg-a", "normal"),
    "LG-FG-W": ("lg-fg-w", "rademacher"),
    "FG-A": ("fg-a", "rademacher"),
}
"""Rule and guess by label; ratios are to the first."""


def program_of(setting: Setting, label: str, precision: str = "float32") -> Program:
    """The program of a rule on a network, for random images."""
    rule, guess = RULES[label]
    spec = spec_of("accelerator", rule, guess, setting.source, BATCH, dict(setting.architecture))
    spec["compile"] = {"precision": precision}
    experiment = loads(json.dumps(spec)).experiment
    return compile_plan(make_plan(experiment, describe(experiment.data.source)))


# The device by itself


def _seconds(call: Callable[[Any], Any], start: Any, repeats: int = 10) -> float:
    """Of a warm call, of the quickest of three rows of them."""
    held = jax.block_until_ready(call(start))
    quickest = float("inf")
    for _ in range(3):
        began = time.perf_counter()
        for _ in range(repeats):
            held = call(held)
        jax.block_until_ready(held)
        quickest = min(quickest, (time.perf_counter() - began) / repeats)
    return quickest


def ceilings() -> dict[str, float]:
    """FLOP/s of large matrix products by precision, bytes/s of a pass over large arrays."""
    cpu = jax.default_backend() == "cpu"
    size, length = (2048, 2**25) if cpu else (8192, 2**28)
    found = {}
    for name in PRECISIONS:
        how = ARITHMETIC[name]
        a = jnp.full((size, size), 1 / size, how.dtype)  # products of it stay what it is

        @jax.jit
        def product(b: jax.Array, a: jax.Array = a, products: str = how.products) -> jax.Array:
            return jnp.dot(a, b, precision=products)

        found[name] = 2 * size**3 / _seconds(product, a)
    x = jnp.ones(length, jnp.float32)
    y = jnp.full(length, 0.5, jnp.float32)
    triad = jax.jit(lambda b: x + 0.5 * b)
    found["bytes"] = 3 * 4 * length / _seconds(triad, y)
    return found


# The device against a CPU


def _cpu() -> Any:
    """A CPU beside the device; None if the device is one, or JAX was told to have none."""
    if jax.default_backend() == "cpu":
        return None
    try:
        return jax.devices("cpu")[0]
    except RuntimeError:
        return None


def compared(steps: int = 100) -> list[str]:
    """What noise and losses differ by from those of a CPU, in lines."""
    cpu = _cpu()
    if cpu is None:
        return ["no CPU beside this device to compare noise and losses with"]
    key, shape = address(key_data(0), "perturbation/block0/channel", 3, 1), (128, 64, 16, 32)
    draws = {
        "random bits": lambda: jax.random.bits(key, shape),
        "signs": lambda: signs(key, shape),
        "normal noise": lambda: normal(key, shape[:1], shape[1:]),
    }
    lines = []
    for name, draw in draws.items():
        own, other = _on(None, draw), _on(cpu, draw)
        same = bool(np.array_equal(own, other))
        apart = "" if same else f", by {np.abs(own - other).max():.1e} at most"
        lines.append(f"{name}: {'the bits of' if same else 'differ from'} a CPU{apart}")
    for label in RULES:
        for precision in ("float32", "tf32"):
            program = program_of(NETWORKS["M/1/16"], label, precision)
            own, other = (_on(where, lambda p=program: _losses(p, steps)) for where in (None, cpu))
            gap = np.abs(own - other) / np.abs(other)
            lines.append(
                f"{label}, {precision}, M/1/16: losses differ from a CPU's by {gap[0]:.1e} of them "
                f"at the first update, {gap.max():.1e} at most in {steps}"
            )
    return lines


def _on(device: Any, make: Callable[[], Any]) -> Any:
    """What `make` computes on a device, on the default one if None."""
    with jax.default_device(device):
        return np.asarray(make())


def _losses(program: Program, steps: int) -> Any:
    return program.updates(program.init(0), random_records(program, steps))[1]["train/loss"]


# Updates


class Row(NamedTuple):
    """One compiled update.

    Attributes:
        subject: what is timed.
        flops: of one update by the plan's count, None for plain JAX.
        bytes: the same.
        temporary: bytes that a call allocates.
        compile_s: seconds that XLA took.
    """

    subject: Subject
    flops: int | None
    bytes: int | None
    temporary: int
    compile_s: float


Pending = Callable[[], Row]
"""What compiles a row that is traced already."""


def pending(setting: Setting, precision: str) -> Iterator[Pending]:
    """Trace all updates of a network in a precision; each is compiled when it is called."""
    for label in RULES:
        yield _ours(label, program_of(setting, label, precision))
    if precision != "bfloat16" and setting.architecture["type"] == "local_mixer":
        yield from _plain(setting, precision)


def _ours(label: str, program: Program) -> Pending:
    calls = Calls(calls_of(program.plan).steps, False)
    found = dissect(program, calls)
    lowered, state = lower_update(program, calls), program.init(0)
    records = random_records(program, calls.steps)

    def compiled() -> Row:
        began = time.perf_counter()
        made = reported(program, compile_for_memory(lowered, ynnpack(program.plan)))
        took = time.perf_counter() - began

        def call(state: Any, records: Any) -> Any:
            return made.call(state, records, None)

        subject = Subject(f"fgspec, {label}", call, state, records, calls.steps)
        counted = found.flops.total(), found.bytes.total()
        return Row(subject, *counted, made.temporary_bytes, took)

    return compiled


def _plain(setting: Setting, precision: str) -> Iterator[Pending]:
    for label, rule, guess in (
        ("BP", "bp", "rademacher"),
        ("LG-FG-A", "lg-fg-a", "rademacher"),
        ("LG-FG-A, normal", "lg-fg-a", "normal"),
    ):
        program = program_of(setting, label)
        data = program.plan.data
        how = by_hand.Setting(setting.architecture["patches"], data.mean, data.std)
        params = by_name(program.plan, program.init(0)).params
        state = by_hand.start(params, program.plan.steps)
        batch = {name: part[0] for name, part in random_records(program).items()}
        update = by_hand.make_update(how, rule, guess, program.plan.steps)
        with jax.default_matmul_precision(ARITHMETIC[precision].products):
            lowered = jax.jit(update, donate_argnums=0).lower(state, batch)
        yield _plain_row(f"plain JAX, {label}", lowered, state, batch)


def _plain_row(name: str, lowered: jax.stages.Lowered, state: Any, batch: Any) -> Pending:
    def compiled() -> Row:
        began = time.perf_counter()
        made = lowered.compile()
        took = time.perf_counter() - began

        def call(state: Any, batch: Any) -> tuple[Any, Mapping[str, Any]]:
            state, loss = made(state, batch)
            return state, {"loss": loss}

        memory: Any = made.memory_analysis()
        return Row(
            Subject(name, call, state, batch), None, None, int(memory.temp_size_in_bytes), took
        )

    return compiled


def measured(rows: Sequence[Row], rounds: int) -> list[dict[str, Any]]:
    """Time, rates and memory of some updates that take turns; ratios are to the first."""
    results = measure([row.subject for row in rows], rounds)
    found = []
    for row, own in zip(rows, results, strict=True):
        timed = times(own, results[0], BATCH)
        seconds = timed["step_time_s"]["median"]
        found.append(
            {
                "name": row.subject.name,
                "flops": row.flops,
                "bytes": row.bytes,
                "flops_per_s": row.flops and row.flops / seconds,
                "bytes_per_s": row.bytes and row.bytes / seconds,
                "temporary_bytes": row.temporary,
                "compile_s": row.compile_s,
                "steps_per_call": row.subject.steps,
            }
            | timed
        )
    return found


HEAD = (
    "",
    "ms an update",
    "ratio",
    "quartiles",
    "TFLOP/s",
    "of ceiling",
    "GB/s",
    "of ceiling",
    "times the bytes bound",
    "temporary MiB",
    "compile s",
)


def table(results: Sequence[Mapping[str, Any]], precision: str, most: Mapping[str, float]) -> str:
    """The results of some updates as Markdown.

    Args:
        results: of `measured`.
        precision: of them.
        most: of `ceilings`.
    """
    rows = []
    for one in results:
        ratio, seconds = one["ratio"], one["step_time_s"]["median"]
        rates = [""] * 5
        if one["flops"] is not None:
            rates = [
                f"{one['flops_per_s'] / 1e12:.3g}",
                f"{one['flops_per_s'] / most[precision]:.0%}",
                f"{one['bytes_per_s'] / 1e9:.3g}",
                f"{one['bytes_per_s'] / most['bytes']:.0%}",
                f"{seconds * most['bytes'] / one['bytes']:.2f}",
            ]
        cells = [
            one["name"],
            f"{seconds * 1e3:.3g}",
            f"{ratio['median']:.2f}",
            markdown_tables.quartiles(ratio),
            *rates,
            f"{one['temporary_bytes'] / 2**20:.3g}",
            f"{one['compile_s']:.1f}",
        ]
        rows.append(cells)
    return markdown_tables.table(HEAD, rows)


# The dearest operations


def dearest(subject: Subject, calls: int = 5, count: int = 5) -> list[str]:
    """The operations of an update that take most of the device's time, by JAX's profiler."""
    state = jax.tree.map(jnp.copy, subject.state)
    state, _ = subject.call(state, subject.batch)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for _ in range(calls):
                state, metrics = subject.call(state, subject.batch)
            jax.block_until_ready((state, metrics))
        (file,) = Path(folder).rglob("*.xplane.pb")
        took = _by_operation(jax.profiler.ProfileData.from_file(str(file)))
    whole = sum(took.values())
    if not whole:
        return ["the profiler saw no operation of this device"]
    updates = calls * subject.steps
    lines = [f"{whole / updates / 1e6:.3g} ms of operations an update; of these"]
    lines += [
        f"{spent / whole:.0%} {name} ({spent / updates / 1e3:.3g} us)"
        for name, spent in took.most_common(count)
    ]
    return lines


def _by_operation(profile: Any) -> Counter[str]:
    """Nanoseconds by operation: of a GPU its kernels, of a TPU XLA's operations."""
    took = Counter[str]()
    for plane in profile.planes:
        if plane.name.startswith("/device:"):
            lines = [one for one in plane.lines if one.name.startswith(("Stream", "XLA Ops"))]
        elif plane.name == "/host:CPU" and jax.default_backend() == "cpu":
            lines = [one for one in plane.lines if one.name.startswith("tf_XLA")]
        else:
            continue
        for line in lines:
            for event in line.events:
                if not event.name.startswith("ThunkExecutor"):  # it waits for the others
                    took[event.name] += round(event.duration_ns)
    return took


# All of it


class Report:
    """What is printed, and written to a file after every part."""

    def __init__(self, name: Path) -> None:
        self._name, self._text = name, ""
        self.values: dict[str, Any] = {"updates": {}}

    def add(self, text: str) -> None:
        """Print and keep a part."""
        print(text + "\n", flush=True)
        self._text += text + "\n\n"
        self._name.with_suffix(".md").write_text(self._text)
        self._name.with_suffix(".json").write_text(json.dumps(self.values, indent=1) + "\n")


def main() -> None:
    """Measure everything, or what there is time for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--networks", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--out", type=Path, default=Path("accelerator"))
    given = parser.parse_args()
    until = time.monotonic() + given.minutes * 60
    report = Report(given.out)
    device = jax.devices()[0]
    report.add(
        f"## {device.device_kind}\n\n{date.today()}, Python {platform.python_version()}, jax "
        f"{jax.__version__}, {os.cpu_count()} CPU cores; batch {BATCH}; medians of {given.rounds} "
        "rounds, ratios to fgspec's BP in the same precision"
    )
    most = ceilings()
    report.values |= {"device": device.device_kind, "jax": jax.__version__, "ceilings": most}
    products = ", ".join(f"{name} {most[name] / 1e12:.3g}" for name in PRECISIONS)
    report.add(
        f"Measured ceilings: matrix products {products} TFLOP/s; a pass over large arrays "
        f"{most['bytes'] / 1e9:.3g} GB/s"
    )
    report.values["against_cpu"] = compared()
    report.add("\n".join(f"* {line}" for line in report.values["against_cpu"]))
    missed, profiled, slowest = [], None, 0.0
    for network in given.networks:
        for precision in PRECISIONS:
            title = f"{network}, {precision}"
            if time.monotonic() + slowest > until:
                missed.append(title)
                continue
            began = time.monotonic()
            with ThreadPoolExecutor() as pool:
                made = [pool.submit(one) for one in pending(NETWORKS[network], precision)]
                rows = [one.result() for one in made]
            results = measured(rows, given.rounds)
            report.values["updates"][title] = results
            report.add(f"### {title}\n\n{table(results, precision, most)}")
            profiled = profiled or (title, rows[list(RULES).index("LG-FG-A")].subject)
            slowest = max(slowest, time.monotonic() - began)
    if profiled is not None:
        title, subject = profiled
        report.values["dearest"] = dearest(subject)
        first, *rest = report.values["dearest"]
        listed = "\n".join(f"* {line}" for line in rest)
        report.add(f"### {title}, {subject.name}: the dearest operations\n\n{first}\n\n{listed}")
    if missed:
        report.add(f"No time was left for: {'; '.join(missed)}. More: --minutes")


if __name__ == "__main__":
    main()
