"""ResNet-18 in 8 blocks in PyTorch, under backprop and under projected forward gradients.

Run by `beside_pytorch.py` in an environment that has PyTorch. It reads commands from standard
input, one a line, and answers each with one line of JSON:

    load FILE     the parameters and the batch, an npz that `beside_pytorch.py` wrote
    gradient RULE FILE   the gradients of one update, written to an npz
    RULE          one update by a rule, `bp` or `global-local`

`global-local` targets the gradient of the final loss at the output of every block, and guesses the
gradient of the block's local loss there (Fournier et al. 2023). It is written as an expert would:
one forward pass, whose blocks are graphs of their own; the error goes back from block to block; in
every block it is projected on the guess, and the projection is pulled back to the block's weights.
"""

import json
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CHANNELS = (64, 64, 128, 128, 256, 256, 512, 512)
HEAD = 32


class Convolution(nn.Module):
    """A convolution without bias, then batch norm."""

    def __init__(self, before: int, after: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.w = nn.Conv2d(before, after, size, stride, (size - 1) // 2, bias=False)
        self.norm = nn.BatchNorm2d(after, eps=1e-5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The normalized convolution."""
        return self.norm(self.w(x))


class Block(nn.Module):
    """A basic block, with the stem before the first."""

    def __init__(self, before: int, channels: int, stem: bool) -> None:
        super().__init__()
        self.stem = Convolution(3, channels) if stem else None
        stride = 1 if before == channels else 2
        self.conv1 = Convolution(before, channels, stride=stride)
        self.conv2 = Convolution(channels, channels)
        self.shortcut1 = None if stride == 1 else Convolution(before, channels, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's output."""
        if self.stem is not None:
            x = functional.relu(self.stem(x))
        kept = x if self.shortcut1 is None else self.shortcut1(x)
        return functional.relu(self.conv2(functional.relu(self.conv1(x))) + kept)


class Head(nn.Module):
    """The auxiliary network of a local loss."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = Convolution(channels, HEAD, 1)
        self.conv1, self.conv2, self.conv3 = (Convolution(HEAD, HEAD, 3, 2) for _ in range(3))
        self.linear = nn.Linear(4 * HEAD, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The outputs of the local loss."""
        for layer in (self.conv0, self.conv1, self.conv2, self.conv3):
            x = functional.relu(layer(x))
        pooled = functional.adaptive_avg_pool2d(x, 2)
        return self.linear(pooled.permute(0, 2, 3, 1).flatten(1))


class Network(nn.Module):
    """The blocks, the heads of all but the last, and the classifier."""

    def __init__(self) -> None:
        super().__init__()
        starts = (CHANNELS[0], *CHANNELS[:-1])
        pairs = zip(starts, CHANNELS, strict=True)
        self.blocks = nn.ModuleList(
            Block(before, after, index == 0) for index, (before, after) in enumerate(pairs)
        )
        self.heads = nn.ModuleList(Head(channels) for channels in CHANNELS[:-1])
        self.norm = nn.BatchNorm2d(CHANNELS[-1], eps=1e-5)
        self.classifier = nn.Linear(CHANNELS[-1], 10)


class Trainer:
    """A network, its batch and an optimizer for each rule."""

    def __init__(self, file: str) -> None:
        given = np.load(file)
        self.network = Network()
        self.names, self.shapes = {}, {}
        for path in given.files:
            if path.startswith(("image", "label")):
                continue
            name = named(path)
            parameter = self.network.get_parameter(name)
            parameter.data.copy_(torch.from_numpy(moved(given[path])))
            self.names[path], self.shapes[path] = parameter, given[path].shape
        self.image = torch.from_numpy(given["image"]).permute(0, 3, 1, 2)
        self.mean, self.std = (
            torch.from_numpy(given[f"image_{name}"]).view(1, 3, 1, 1) for name in ("mean", "std")
        )
        self.label = torch.from_numpy(given["label"]).long()
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), 0.05, momentum=0.9, weight_decay=5e-4
        )
        self.rules = {"bp": self.backprop, "global-local": self.projected}

    def pixels(self) -> torch.Tensor:
        """The standardized images."""
        return (self.image.float() / 255 - self.mean) / self.std

    def final(self, h: torch.Tensor) -> torch.Tensor:
        """The final loss."""
        pooled = self.network.norm(h).mean((2, 3))
        return functional.cross_entropy(self.network.classifier(pooled), self.label)

    def backprop(self) -> None:
        """The gradient of the final loss."""
        h = self.pixels()
        for block in self.network.blocks:
            h = block(h)
        self.final(h).backward()

    def projected(self) -> None:
        """The gradient of the final loss at every block's output, projected on a local guess."""
        blocks, heads = self.network.blocks, self.network.heads
        inputs, outputs, h = [], [], self.pixels()
        for index, block in enumerate(blocks):
            inputs.append(h.detach().requires_grad_(index > 0))
            outputs.append(block(inputs[-1]))
            h = outputs[-1]
        guesses = []
        for head, h in zip(heads, outputs[:-1], strict=True):
            reads = h.detach().requires_grad_()
            functional.cross_entropy(head(reads), self.label).backward()
            guesses.append(reads.grad)
        reads = outputs[-1].detach().requires_grad_()
        self.final(reads).backward()
        error = reads.grad
        # The last block takes its exact gradient.
        outputs[-1].backward(error, inputs=[*blocks[-1].parameters(), inputs[-1]])
        error = inputs[-1].grad
        for index in range(len(blocks) - 2, -1, -1):
            guess, over = guesses[index], (1, 2, 3)
            share = (error * guess).sum(over, keepdim=True) / guess.square().sum(over, keepdim=True)
            weights = list(blocks[index].parameters())
            if index > 0:
                (error,) = torch.autograd.grad(
                    outputs[index], inputs[index], error, retain_graph=True
                )
            outputs[index].backward(share * guess, inputs=weights)

    def run(self, rule: str) -> None:
        """One update."""
        self.optimizer.zero_grad()
        self.rules[rule]()
        self.optimizer.step()

    def gradients(self, rule: str, file: str) -> None:
        """The gradients of an update, as fgspec has them."""
        self.optimizer.zero_grad()
        self.rules[rule]()
        found = {
            path: parameter.grad.numpy().transpose(_BACK[parameter.ndim]).reshape(self.shapes[path])
            for path, parameter in self.names.items()
            if parameter.grad is not None
        }
        np.savez(file, **found)


def named(path: str) -> str:
    """The name of a parameter of fgspec's in `Network`."""
    section, *rest = path.split("/")
    if section == "classifier":
        layer, leaf = rest
        place = "classifier" if layer == "linear" else "norm"
        return f"{place}.{'bias' if leaf in ('b', 'shift') else 'weight'}"
    block, layer, leaf = rest
    place = f"{section}.{block.removeprefix('block')}.{layer}"
    if layer == "linear":
        return f"{place}.{'weight' if leaf == 'w' else 'bias'}"
    return f"{place}.{ {'w': 'w.weight', 'scale': 'norm.weight', 'shift': 'norm.bias'}[leaf] }"


def moved(array: np.ndarray) -> np.ndarray:
    """A parameter of fgspec's in the layout of PyTorch."""
    if array.ndim == 5:
        return array.reshape(*array.shape[:3], -1).transpose(3, 2, 0, 1).copy()
    return array.reshape(-1).copy() if 1 in (array.ndim, array.shape[0]) else array.T.copy()


_BACK = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}
"""The order of PyTorch's axes in fgspec's arrays, by their number."""


def main() -> None:
    """Answer commands until the input ends."""
    torch.manual_seed(0)
    trainer = None
    for line in sys.stdin:
        command, *words = line.split()
        answer = {"torch": torch.__version__, "threads": torch.get_num_threads()}
        if command == "load":
            trainer = Trainer(words[0])
        elif trainer is not None and command == "gradient":
            trainer.gradients(*words)
        elif trainer is not None:
            trainer.run(command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
