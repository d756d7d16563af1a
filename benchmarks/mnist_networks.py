"""Learning rules on three small networks, as one sweep over the first 10,000 images of MNIST.

    python benchmarks/mnist_networks.py FOLDER
    fgspec sweep FOLDER/sweep.yaml
    fgspec report FOLDER/runs/mnist-networks

The first writes the images and the sweep into FOLDER. MNIST is read from the folder that
`$FGSPEC_DATA` names. A run takes up to 3 CPU minutes.
"""

import argparse
from pathlib import Path

import numpy as np

from fgspec.data.sources import read
from fgspec.spec.sources import Mnist

TRAINING, TEST = 10_000, 2_000
"""How many images are kept, the first ones of the published files."""

BASE = """\
# The first 10,000 training images and the first 2,000 test images of MNIST.
fgspec: 1
name: mnist-networks
rule: bp
data:
  source: {type: npz, path: mnist.npz}
  batch_size: 50
optimizer: {type: adam, learning_rate: 0.003}
training: {epochs: 2, evaluate_every: {epochs: 2}}
"""

NETWORKS = {
    "vgg8": ("{type: vgg, depth: 8, width: 0.25, hidden: [256]}", 1),
    "resnet20": ("{type: cifar_resnet, depth: 20, blocks: 4, width: 0.25}", 2),
    "vit": ("{type: vit, patches: 4, channels: 48}", 2),
}
"""Networks at a quarter of their width, and epochs of training."""

RULES = {
    **{rule: f"rule: {rule}" for rule in ("bp", "lg-bp", "lg-fg-a", "lg-fg-w")},
    **{rule: f"rule: {rule}" for rule in ("dfa", "drtp", "grape")},
    "forward-forward": "rule: lg-bp, losses.prediction: goodness, "
    "losses.local: {objective: {type: forward_forward, goodness: mean, threshold: 0.5}}",
    "mono-forward": "rule: lg-bp, losses.prediction: sum, losses.local: {last: final}",
}
"""Fields of every rule."""


def sweep() -> str:
    """The sweep file: every rule on every network, beside readouts of untrained features."""
    lines = ["fgspec: 1", "name: mnist-networks", "base: base.yaml", "arms:"]
    for network, (architecture, epochs) in NETWORKS.items():
        for rule, fields in RULES.items():
            more = f"architecture: {architecture}, training.epochs: {epochs}"
            lines.append(f"  {network}-{rule}: {{{fields}, {more}}}")
    lines += ["baselines: [linear_probe, random_blocks]", "seeds: [0, 1, 2]"]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write images, base and sweep."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    mnist = read(Mnist())
    np.savez_compressed(
        folder / "mnist.npz",
        train_images=mnist.train_images[:TRAINING],
        train_labels=mnist.train_labels[:TRAINING],
        test_images=mnist.test_images[:TEST],
        test_labels=mnist.test_labels[:TEST],
    )
    (folder / "base.yaml").write_text(BASE)
    (folder / "sweep.yaml").write_text(sweep())


if __name__ == "__main__":
    main()
