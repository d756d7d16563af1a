"""fgspec's updates of ResNet-18 in 8 blocks beside PyTorch's, in turns.

    python benchmarks/beside_pytorch.py --torch PYTHON [--rounds N] [--batch N] [--json FILE]

PYTHON is of an environment that has PyTorch, which runs `by_pytorch.py`. Both train the same
network on the same random batch from the same parameters, by backprop and by the local guess for
the global target at every block's output (Fournier et al. 2023). Their gradients are compared
first, and nothing is timed if they differ. Then both take turns, and ratios are taken within a
round.
"""

import argparse
import json
import platform
import subprocess
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import jax
import markdown_tables
import numpy as np

from compiler.cost.compiled import random_records
from compiler.named_arrays.paths import flatten
from fgspec import api
from fgspec.bench.measure import Subject, measure, times
from fgspec.cli.bench_ import prepared

SPECS = Path(__file__).parents[1] / "specs" / "fournier2023" / "resnet18_8"
RULES = {"bp": "bp", "global-local": "global_local_block_output"}
CLOSE = 2e-2
"""Largest difference of two gradients, of their length.

In float32, values of rectifiers near zero differ in sign, and in 17 layers that adds up: gradients
of BP differ by 0.002 with batches of 8, and by 0.007 with batches of 128.
"""
NO_AUGMENTATION = "data.augment.type=none"


class PyTorch:
    """The process that runs `by_pytorch.py`."""

    def __init__(self, python: str) -> None:
        """Start it.

        Args:
            python: the interpreter of an environment with PyTorch.
        """
        file = str(Path(__file__).with_name("by_pytorch.py"))
        self._process = subprocess.Popen(
            [python, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *words: str) -> dict[str, Any]:
        """The answer to a command.

        Raises:
            SystemExit: it ended; its traceback is on standard error.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("by_pytorch.py ended; what it says is above")
        return json.loads(answer)

    def subject(self, rule: str) -> Subject:
        """One update of a rule, to be timed."""

        def call(state: Any, batch: Any) -> tuple[Any, dict[str, Any]]:
            self.ask(rule)
            return state, {}

        return Subject(f"PyTorch, {rule}", call, (), ())


def _distance(found: dict[str, Any], wanted: dict[str, Any]) -> float:
    """Of two gradients as vectors, of the length of the second."""
    pairs = [(np.ravel(found[path]), np.ravel(array)) for path, array in wanted.items()]
    a, b = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def compared(torch: PyTorch, batch_size: int, rounds: int) -> list[dict[str, Any]]:
    """Times of all updates, PyTorch's BP first.

    Raises:
        SystemExit: two gradients differ.
    """
    subjects, gaps, memory = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for rule, spec in RULES.items():
            words = [f"data.batch_size={batch_size}", NO_AUGMENTATION]
            loaded = api.load(SPECS / f"{spec}.yaml", words)
            program = api.compile(loaded)
            batch = {name: part[0] for name, part in random_records(program).items()}
            state = program.init(0)
            # The classifier begins at zero: nothing would reach the blocks.
            rng = np.random.default_rng(0)
            params = jax.tree.map(
                lambda a, rng=rng: a + 0.1 * rng.standard_normal(a.shape, np.float32), state.params
            )
            ours = flatten(program.gradient(state._replace(params=params), batch)[0])
            given = {path: np.asarray(array) for path, array in flatten(params).items()}
            file, found = Path(folder) / "given.npz", Path(folder) / "found.npz"
            given |= {
                f"image_{name}": np.array(getattr(program.plan.data, name), np.float32)
                for name in ("mean", "std")
            }
            np.savez(file, **given, image=batch["image"], label=batch["label"])
            torch.ask("load", str(file))
            torch.ask("gradient", rule, str(found))
            gap = _distance(ours, dict(np.load(found)))
            if gap > CLOSE:
                raise SystemExit(f"{rule}: the gradients differ by {gap:.1g} of their length")
            own, facts = prepared(loaded, f"fgspec, {rule}")
            subjects += [torch.subject(rule), own]
            gaps += [None, gap]
            memory += [None, facts["memory"]["temporary_bytes"]]
    results = measure(subjects, rounds)
    return [
        {"name": subject.name, "gradient_gap": gap, "temporary_bytes": temporary}
        | times(own, results[0], batch_size)
        for subject, gap, temporary, own in zip(subjects, gaps, memory, results, strict=True)
    ]


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch", required=True, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch = PyTorch(given.torch)
    versions = torch.ask("version")
    print(
        f"{date.today()}, Python {platform.python_version()}, jax {jax.__version__}, PyTorch "
        f"{versions['torch']} with {versions['threads']} threads, batch {given.batch}, medians of "
        f"{given.rounds} rounds\n"
    )
    results = compared(torch, given.batch, given.rounds)
    head = ["", "s an update", "ratio", "quartiles", "gradient differs by"]
    rows = [
        [
            one["name"],
            f"{one['step_time_s']['median']:.2f}",
            f"{one['ratio']['median']:.2f}",
            markdown_tables.quartiles(one["ratio"]),
            f"{one['gradient_gap']:.0e}" if one["gradient_gap"] is not None else "",
        ]
        for one in results
    ]
    print(markdown_tables.table(head, rows))
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
