"""One case: the words of its spec, and the spec.

A new architecture is one more entry of ARCHITECTURES, a new guess one more of `compare.DRAWN`.
"""

from dataclasses import dataclass

import networks

from fgspec.check.against_data import data_problems, refusals
from fgspec.loading.spec_file import loads
from fgspec.problems.problems import Problem, SpecError
from oracle import build, chains, heads, patch_networks

TARGETS = {"": "global", "l": "sum", "lg": "local"}
"""What the first part of a rule's name says."""

STEP = 0.1
"""Of finite differences: so long that float32 has digits left, and the oracle takes the same."""


@dataclass(frozen=True)
class Norm:
    """The words of `architecture.normalization`; convolutions read the last two, not `places`."""

    type: str = "none"
    placement: tuple = ("before_linear", "after_linear")
    readout: bool = True
    gradient: str = "exact"
    epsilon: float = 1e-2
    affine: bool = True
    parts: int = 1

    def text(self, spatial=False):
        if self.type == "none":
            return "{type: none}"
        words = f"placement: [{', '.join(self.placement)}], readout: {str(self.readout).lower()}"
        if spatial:
            words = f"affine: {str(self.affine).lower()}"
            words += f", parts: {self.parts}" if self.type == "group_norm" else ""
        return f"{{type: {self.type}, {words}, gradient: {self.gradient}, epsilon: {self.epsilon}}}"

    def before_branches(self):
        """The section of networks that normalize at the beginning of every branch."""
        words = f", affine: {str(self.affine).lower()}" if self.type != "none" else ""
        return f"{{type: {self.type}{words}, epsilon: {self.epsilon}}}"

    def words(self):
        if self.type == "none":
            return {}
        words = {"places": self.placement, "readout": self.readout, "eps": self.epsilon}
        return {"norm": self.type, **words}

    def spatial(self):
        return build.conv_norm(self.type, self.affine, self.parts), self.epsilon


@dataclass(frozen=True)
class Case:
    """One program: a rule, an architecture with its sizes, and what its perturbation says.

    Without a rule `target` and `estimator` say what is estimated and how.
    """

    rule: str = ""
    architecture: str = "local_mixer"
    sizes: tuple = (2, 2, 2, 3)
    norm: Norm = Norm()
    target: str | None = None
    estimator: str | None = None
    objective: str = "cross_entropy"
    space: str | None = None
    guess: str = "rademacher"
    control: str | None = None
    sharing: str | None = None
    credit: str = "influenced"
    replicate: tuple | None = None
    every: int = 1
    samples: int = 1
    weights: str = "random"
    projection: str | None = None
    grouping: str | None = None
    granularity: str | None = None
    coefficient: str | None = None
    last_block: str | None = None
    head: str | None = None
    batch: int = 3
    seed: int = 0

    @property
    def goal(self):
        """The target, said or meant by the rule."""
        return self.target or TARGETS[self.rule.rpartition("-")[0].removesuffix("fg").strip("-")]

    @property
    def kind(self):
        """exact, feedback, direct_feedback, drtp, forward or finite_difference."""
        if self.estimator:
            return self.estimator
        last = {"fa": "feedback", "dfa": "direct_feedback", "bp": "exact", "drtp": "drtp"}
        return last.get(self.rule.rpartition("-")[2], "forward")

    @property
    def perturbs(self):
        return self.kind in ("forward", "finite_difference")

    @property
    def where(self):
        """The space that is perturbed."""
        return self.space or ("weight" if self.rule.endswith("-w") else "activation")

    @property
    def guided(self):
        """Whether the guess is a gradient."""
        return self.perturbs and self.guess not in ("normal", "rademacher", "sphere")

    @property
    def guides(self):
        return {self.guess, self.control} if self.guided else {self.control} - {None}

    @property
    def last(self):
        """local, or final: the loss that closes the last block."""
        exact = self.last_block == "exact" or bool(self.guides)
        return "final" if self.goal == "global" or (self.perturbs and exact) else "local"

    @property
    def local(self):
        """Whether there are local losses."""
        read = {"local", "ntk", "fixed_ntk", "above"} & self.guides
        return self.goal != "global" or bool(read)

    @property
    def projects(self):
        """Whether each tensor may have a derivative of its own."""
        words = (self.grouping, self.granularity, self.coefficient, self.last_block)
        told = self.projection not in (None, "none") or any(words)
        return self.perturbs and bool(told or self.guides)


def _mixer_text(sizes, norm):
    blocks, patches, groups, channels = sizes
    words = f"blocks: {blocks}, patches: {patches}, channels: {groups * channels}"
    return f"{{type: local_mixer, {words}, groups: {groups}, normalization: {norm.text()}}}"


def _mlp_text(sizes, norm):
    return f"{{type: mlp, hidden: [{', '.join(map(str, sizes))}], normalization: {norm.text()}}}"


def _conv_net_text(sizes, norm):
    channels = ", ".join(str(abs(size)) for size in sizes)
    half = ", ".join(str(index) for index, size in enumerate(sizes) if size < 0)
    words = f"channels: [{channels}], downsample: [{half}]"
    return f"{{type: conv_net, {words}, normalization: {norm.text(True)}}}"


def _resnet_text(sizes, norm):
    words = f"blocks: {sizes[0]}, width: {sizes[1]}, stem: {sizes[2]}"
    return f"{{type: resnet18, {words}, normalization: {norm.text(True)}}}"


def _vit_text(sizes, norm):
    words = f"blocks: {sizes[0]}, patches: {sizes[1]}, heads: {sizes[2]}, "
    words += f"channels: {sizes[2] * sizes[3]}, hidden: {sizes[4]}, readout: {sizes[5]}, "
    words += f"positions: {sizes[6]}"
    return f"{{type: vit, {words}, normalization: {norm.before_branches()}}}"


def _mlp_mixer_text(sizes, norm):
    words = f"blocks: {sizes[0]}, patches: {sizes[1]}, groups: {sizes[2]}, "
    words += f"channels: {sizes[2] * sizes[3]}, token_hidden: {sizes[4]}, hidden: {sizes[5]}"
    return f"{{type: mlp_mixer, {words}, normalization: {norm.before_branches()}}}"


def _conv_mixer_text(sizes, norm):
    words = f"blocks: {sizes[0]}, patches: {sizes[1]}, groups: {sizes[2]}, "
    words += f"channels: {sizes[2] * sizes[3]}, size: {sizes[4]}"
    return f"{{type: conv_mixer, {words}, normalization: {norm.text(True)}}}"


def _vgg_text(sizes, norm):
    depth, width, hidden = sizes
    words = f"depth: {depth}, width: {width}, hidden: [{', '.join(map(str, hidden))}]"
    return f"{{type: vgg, {words}, normalization: {norm.text(True)}}}"


def _cifar_resnet_text(sizes, norm):
    cut, words, (first, *_), shortcut = sizes
    words = f"depth: {2 * sum(cut)}, {words}, width: {first / 16}, shortcut: {shortcut}"
    return f"{{type: cifar_resnet, {words}, normalization: {norm.text(True)}}}"


ARCHITECTURES = {
    "local_mixer": (
        _mixer_text,
        lambda sizes, norm: build.local_mixer(sizes[0], grid=(sizes[1],) * 2, **norm.words()),
        lambda sizes: (sizes[1], sizes[1]),
        (2, 2, 2, 3),
    ),
    "mlp": (
        _mlp_text,
        lambda sizes, norm: build.mlp(len(sizes), **norm.words()),
        lambda sizes: (1, 1),
        (5, 6, 4),
    ),
    "resnet18": (
        _resnet_text,
        lambda sizes, norm: build.resnet18(sizes[0], sizes[2], *norm.spatial()),
        lambda sizes: (8, 8),
        (2, 0.03, "cifar"),
    ),
    "conv_net": (
        _conv_net_text,
        lambda sizes, norm: build.conv_net([size < 0 for size in sizes], *norm.spatial()),
        lambda sizes: (8, 8),
        (-2, -3, 2),
    ),
    "vgg": (
        _vgg_text,
        lambda sizes, norm: build.vgg(sizes[0], len(sizes[2]), *norm.spatial()),
        lambda sizes: (8, 8),
        (8, 0.005, (3,)),
    ),
    "cifar_resnet": (
        _cifar_resnet_text,
        lambda sizes, norm: build.cifar_resnet(sizes[0], sizes[2], sizes[3], *norm.spatial()),
        lambda sizes: (8, 8),
        ((2, 1, 1), "blocks: 3", (1, 2, 4), "padding"),
    ),
    "chain": (
        lambda sizes, norm: chains.CHAINS[sizes[0]][0] % norm.text(True),
        lambda sizes, norm: chains.chain(sizes[0], *norm.spatial()),
        lambda sizes: chains.CHAINS[sizes[0]][2],
        ("mixed",),
    ),
    "vit": (
        _vit_text,
        patch_networks.vit,
        lambda sizes: (sizes[1], sizes[1]),
        (2, 2, 2, 3, 4, "class_token", "learned"),
    ),
    "mlp_mixer": (
        _mlp_mixer_text,
        patch_networks.mlp_mixer,
        lambda sizes: (sizes[1], sizes[1]),
        (2, 2, 2, 3, 3, 4),
    ),
    "conv_mixer": (
        _conv_mixer_text,
        patch_networks.conv_mixer,
        lambda sizes: (sizes[1], sizes[1]),
        (2, 2, 2, 3, 3),
    ),
}
"""type -> (sizes, norm) to its spec; to the oracle's network; sizes to the grid; sizes.

Sizes of a conv_net are channels, negative where the convolution halves the grid. Those of a
cifar_resnet are the units of every block, the words that say so, and the channels of its stages.
"""


def _losses(case):
    """The section `losses`."""
    words = []
    if case.objective == "info_nce":
        words.append("objective: {type: info_nce, projection: 4, temperature: 0.4}")
    if case.local:
        own = [f"every: {case.every}"]
        own += [f"replicate: [{', '.join(case.replicate)}]"] if case.replicate is not None else []
        own += [f"aggregation: pooled, head: {heads.SPECS[case.head]}"] if case.head else []
        own += ["last: final"] if case.last == "final" and case.goal != "global" else []
        words.append(f"local: {{{', '.join(own)}}}")
    words += ["isolate: block"] if case.target == "local" else []
    words += ["isolate: layer"] if case.estimator == "direct_feedback" else []
    return [f"losses: {{{', '.join(words)}}}"] if words else []


def _perturbation(case):
    """The section `gradient.perturbation`, but for what holds a default."""
    guess = f"guess: {{type: {case.guess}}}"
    fields = {"space": case.space, "sharing": case.sharing, "last_block": case.last_block}
    fields |= {"control_variate": case.control}
    words = [guess, f"samples: {case.samples}", f"credit: {case.credit}"]
    words += [f"{name}: {value}" for name, value in fields.items() if value]
    fields = {"type": case.projection, "grouping": case.grouping}
    fields |= {"granularity": case.granularity, "coefficient": case.coefficient}
    how = [f"{name}: {value}" for name, value in fields.items() if value]
    return [*words, f"projection: {{{', '.join(how)}}}"] if how else words


def text(case):
    """The spec of a case."""
    made = ARCHITECTURES[case.architecture][0](case.sizes, case.norm)
    augment = ", augment: crop_flip" if case.objective == "info_nce" else ""
    lines = ["fgspec: 1", "name: oracle", f"architecture: {made}"]
    lines += [f"rule: {case.rule}"] if case.rule else []
    lines += [f"data: {{source: {{type: cifar10}}, batch_size: {case.batch}{augment}}}"]
    lines += ["training: {epochs: 2}", *_losses(case)]
    gradient = [f"target: {case.target}"] if case.target else []
    if case.weights != "random":
        gradient += [f"estimator: {{type: feedback, weights: {case.weights}}}"]
    elif case.estimator or case.target:
        step = f", epsilon: {STEP}" if case.kind == "finite_difference" else ""
        gradient += [f"estimator: {{type: {case.kind}{step}}}"]
    if case.perturbs:
        gradient += [f"perturbation: {{{', '.join(_perturbation(case))}}}"]
    return "\n".join([*lines, f"gradient: {{{', '.join(gradient)}}}"] if gradient else lines)


def refused(case):
    """The first line of fgspec's own reason not to compile a case, or None."""
    try:
        experiment = loads(text(case)).experiment
    except SpecError as error:
        return str(error).splitlines()[0]
    problems: list[Problem] = [
        *refusals(experiment),
        *data_problems(experiment, networks.INFO),
    ]
    return f"{'.'.join(map(str, problems[0].path))}: {problems[0].message}" if problems else None
