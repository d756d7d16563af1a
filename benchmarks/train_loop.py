"""`fgspec train` beside a hand-written training loop on MNIST, in turns.

    python benchmarks/train_loop.py [--rule bp|lg-fg-a] [--epochs N] [--rounds N]

Both train LocalMixer S/1/1 of Ren et al. 2022 and, after every epoch, read the mean loss and
evaluate on the test set. The loop by hand does nothing else: it shuffles in NumPy, sends a batch to
`by_hand.py`'s jitted update and keeps losses on the device until the epoch is over. fgspec also
checks every number, writes a sealed log and hashes what it consumed. Updates a second are counted
from the end of the first epoch to that of the last, so nothing is compiled meanwhile. MNIST is
looked for as `fgspec train` does: FGSPEC_DATA names its folder.
"""

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import by_hand
import jax
import numpy as np

from compiler.update.state import by_name
from fgspec import api
from fgspec.bench.measure import spread
from fgspec.data.sources import read
from fgspec.errors import UserError

SPECS = Path(__file__).parents[1] / "specs" / "ren2022" / "table3" / "mnist_s_1_1"
SIGNS = "gradient.perturbation.guess.type=rademacher"


def loaded_of(rule: str, epochs: int) -> Any:
    """The spec of a rule, evaluated after every epoch."""
    words = [
        f"training.epochs={epochs}",
        "training.evaluate_every.epochs=1",
        "training.log_every={epochs: 1}",
        f"checkpoint.every.epochs={epochs}",
        *([SIGNS] if rule != "bp" else []),
    ]
    return api.load(SPECS / f"{rule.replace('-', '_')}.yaml", words)


def by_fgspec(rule: str, epochs: int) -> float:
    """Updates a second of `fgspec train`."""
    loaded = loaded_of(rule, epochs)
    with tempfile.TemporaryDirectory() as folder:
        run = api.train(loaded, run_dir=folder)["run"]
        lines = [json.loads(line) for line in (Path(run) / "metrics.jsonl").open()]
    timed = [(line["step"], line["time"]) for line in lines if "test/error" in line]
    (first, began), (last, ended) = timed[0], timed[-1]
    return (last - first) / (ended - began)


class ByHand:
    """The loop by hand; its functions are compiled once for all rounds."""

    def __init__(self, rule: str, epochs: int) -> None:
        loaded = loaded_of(rule, epochs)
        program = api.compile(loaded)
        plan, data = program.plan, read(loaded.experiment.data.source, loaded.search)
        how = by_hand.Setting(1, plan.data.mean, plan.data.std)
        self._epochs, self._size = epochs, loaded.experiment.data.batch_size
        self._params = by_name(plan, program.init(0)).params
        self._steps = plan.steps
        self._update = jax.jit(
            by_hand.make_update(how, rule, "rademacher", plan.steps), donate_argnums=0
        )
        self._wrong = jax.jit(partial(_wrong, how))
        self._train = (data.train_images, data.train_labels.astype(np.int32))
        self._test = (np.asarray(data.test_images), data.test_labels.astype(np.int32))

    def __call__(self) -> float:
        """Updates a second."""
        images, labels = self._train
        state = by_hand.start(jax.tree.map(jax.numpy.copy, self._params), self._steps)
        random, ends, count = np.random.default_rng(0), [], len(labels) // self._size
        for _ in range(self._epochs):
            losses, order = [], random.permutation(len(labels))
            for step in range(count):
                chosen = order[step * self._size : (step + 1) * self._size]
                batch = {"image": images[chosen], "label": labels[chosen]}
                state, loss = self._update(state, batch)
                losses.append(loss)
            mean = float(np.mean(jax.device_get(losses)))
            error = self._error(state.params)
            if not np.isfinite(mean) or error > 0.5:
                raise SystemExit(f"the loop by hand did not learn: loss {mean}, error {error}")
            ends.append(time.time())
        return count * (self._epochs - 1) / (ends[-1] - ends[0])

    def _error(self, params: Any) -> float:
        images, labels = self._test
        parts = range(0, len(labels), 500)
        wrong = [self._wrong(params, images[at : at + 500], labels[at : at + 500]) for at in parts]
        return float(sum(jax.device_get(wrong))) / len(labels)


def _wrong(how: by_hand.Setting, params: Any, image: Any, label: Any) -> Any:
    x = by_hand.features(params, by_hand.patches_of(how, image))
    return (by_hand.classified(params["classifier"], x).argmax(1) != label).sum()


def main() -> None:
    """Measure both in turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rule", choices=list(by_hand.RULES), default="lg-fg-a")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if given.epochs < 2:
        parser.error("--epochs: must be 2 or more, as the first is not counted")
    try:
        loop = ByHand(given.rule, given.epochs)
    except UserError as error:  # there is no MNIST, say
        parser.error(str(error))
    own, other = [], []
    for turn in range(given.rounds):
        for chosen in (0, 1) if turn % 2 else (1, 0):
            if chosen:
                own.append(by_fgspec(given.rule, given.epochs))
            else:
                other.append(loop())
    ratio = spread([a / b for a, b in zip(own, other, strict=True)])
    print(
        f"{given.rule}, S/1/1 on MNIST, jax {jax.__version__}: fgspec train "
        f"{np.median(own):.0f} updates/s, by hand {np.median(other):.0f}; ratio "
        f"{ratio['median']:.2f} ({ratio['lower_quartile']:.2f}-{ratio['upper_quartile']:.2f}), "
        f"{given.rounds} rounds"
    )


if __name__ == "__main__":
    main()
