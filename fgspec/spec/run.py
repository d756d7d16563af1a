"""`training:`, `checkpoint:`, `compile:` and `expect:` how a run goes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import Interval, NonNegativeFloat, PositiveInt, Resume, Section
from fgspec.spec.kinds import OneOf
from fgspec.spec.trackers import TRACKERS, Tracker


class StopEarly(Section):
    """When a run ends before its length, as evaluations get no better."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    patience: Interval = Field(
        description="Time since the best evaluation after which the run ends, at an evaluation."
    )
    metric: Literal["leading", "loss"] = Field(
        default="leading",
        description="Of evaluations. leading: the one that the objective is judged by, such as "
        "the error. loss: of the classifier.",
    )
    min_change: NonNegativeFloat = Field(
        default=0.0, description="A change that is not larger does not count as better."
    )


class Training(Section):
    """How long, and how often it is looked at."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    epochs: PositiveInt | None = Field(
        default=None, description="Passes over the training set; give this or steps."
    )
    steps: PositiveInt | None = Field(default=None, description="Updates; give this or epochs.")
    evaluate_every: Interval = Field(
        default=Interval(epochs=1),
        description="Passes over the validation set, or over the test set where there is none; "
        "there is always one at the end.",
    )
    log_every: Interval = Field(
        default=Interval(epochs=1), description="Lines of metrics, averaged since the last."
    )
    stop_early: StopEarly | None = Field(
        default=None,
        description="End the run once evaluations get no better, such as {patience: {epochs: 10}}; "
        "null: never. Schedules run as for the whole length.",
    )
    trackers: tuple[Annotated[Tracker, OneOf(TRACKERS, named=True)], ...] = Field(
        default=(),
        description="What else receives every line of metrics, besides metrics.jsonl. They change "
        "no number, and a run may be resumed with others.",
    )


class Checkpoint(Section):
    """When the whole state is saved; the end of a run always is."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    every: Interval = Field(default=Interval(epochs=1), description="Time between two checkpoints.")
    keep: PositiveInt = Field(default=2, description="How many of the newest are kept.")
    best: bool = Field(
        default=False,
        description="Save at every evaluation that is the best so far by the leading metric, and "
        "keep that checkpoint besides the newest.",
    )


class Diagnostics(Section):
    """What the estimate is worth, measured now and then against the exact gradient of its target.

    fg/cosine/<part>, fg/norm_ratio/<part>: of the estimate with the exact gradient.
    fg/snr/<part>: |gradient|^2 of the variance of the estimate over fresh draws.
    fg/noise_scale, fg/noise_scale/<part>: tr(S) / |G|^2 in examples, of all blocks and of a part.
        G is the mean and S the covariance of the estimates of single examples, with the noise of
        guesses that are drawn for each (McCandlish et al. 2018, the simple noise scale). Not in
        lines where the estimate of |G|^2 is not positive.
    fg/example_variance, fg/squared_norm, and both /<part>: the unbiased estimates of tr(S) and
        |G|^2; their means over measurements give a better quotient than any single one.
    fg/alignment/<layer>: cosine of backward with forward weights (feedback alignment).
    local_accuracy/<block>: of the local heads, on the training batch.
    """

    on_resume: ClassVar = Resume.MAY_CHANGE
    every: Interval | None = Field(
        default=None,
        description="Time between two measurements, on the training batch of that step; null: "
        "never. One costs an exact gradient and 1 + samples estimates.",
    )
    samples: Annotated[int, Field(ge=2, le=10_000)] = Field(
        default=8, description="Fresh draws for the variance, where guesses are drawn."
    )
    by: Literal["block", "layer"] = Field(
        default="block",
        description="The parts of the gradient that are measured by themselves: block0, or "
        "block0/channel.",
    )
    noise_scale: Annotated[int, Field(ge=2)] | None = Field(
        default=None,
        description="Measure the gradient-noise scale from this many equal parts of the batch; "
        "more parts are more precise. null: not measured. It costs one estimate more, or `samples` "
        "of them where guesses are drawn.",
    )


class Compile(Section):
    """How the program is lowered; never what it computes."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    losses: Literal["auto", "fused", "naive"] = Field(
        default="auto",
        description="fused: a replicated loss is computed once for all copies. naive: every copy "
        "by itself with stop-gradients, the slow oracle. auto: fused, but naive where the keys of "
        "info_nce are free.",
    )
    # Blocks that are scanned are stacked in the state of a run, too.
    blocks: Annotated[Literal["auto", "unrolled", "scanned"], Resume.FIXED] = Field(
        default="auto",
        description="scanned: equal blocks in a row are one compiled body over stacked parameters; "
        "compile time does not grow with depth, nor does memory where every block learns from its "
        "own loss. unrolled: each block is compiled. auto: scanned from three equal blocks where "
        "losses are local, and under rematerialize.",
    )
    # XLA makes signs of their random words again at both uses by itself. Normal numbers it keeps:
    # drawn again, they take FG-A on the quickstart's network from 26.9 to 22.9 MiB, and 27 % more
    # FLOPs.
    noise: Literal["auto", "stored", "drawn"] = Field(
        default="auto",
        description="Between the derivative along a perturbation and its product with it. stored: "
        "the perturbation is kept; of signs only the random words are. drawn: it "
        "is drawn again, which takes the memory of normal noise away and its time twice. auto: "
        "stored.",
    )
    # `forward` is there for whoever wants no reverse pass anywhere.
    directional: Literal["auto", "forward", "reverse"] = Field(
        default="auto",
        description="How the derivative of a loss along a perturbation is taken; the estimate is "
        "the same. forward: a tangent goes through the network. reverse: the inner product of the "
        "perturbation with the loss's gradient, of which one serves all samples; not where copies "
        "of a loss, or examples that batch_norm couples, have derivatives of their own. auto: "
        "whichever takes fewer FLOPs.",
    )
    # Under `blocks: auto` it decides which blocks are scanned.
    rematerialize: Annotated[PositiveInt | Literal["auto", "never"], Resume.FIXED] = Field(
        default="auto",
        description="Reverse mode stores what enters every so many blocks and computes what is "
        "inside them again (Chen et al. 2016), the memory that local rules are compared with "
        "(arXiv 2506.21833). never: all is stored. auto: never.",
    )
    precision: Annotated[Literal["float32", "tf32", "bfloat16"], Resume.FORKS] = Field(
        default="float32",
        description="Of the arithmetic of blocks; parameters, normalizations, readouts and losses "
        "are float32. tf32: matrix products and convolutions round their factors to 11 bits "
        "(TensorFloat32) on an Nvidia GPU from Ampere on; on a TPU they take three passes of "
        "bfloat16, and on a CPU they are float32.",
    )
    ynnpack: Literal["auto", "products", "all", "none"] = Field(
        default="auto",
        description="What XLA gives its library YNNPACK on a CPU. products: matrix products, one "
        "by one. all: also sums and what is around them, XLA's own choice; before jax 0.11 each "
        "short sum then costs 240 us. none: nothing. auto: products where anything is convolved "
        "or normalized, else all; from jax 0.11 on all too where an update with normalizations "
        "takes less than 1 GFLOP or draws normal noise.",
    )
    steps_per_call: PositiveInt | Literal["auto"] = Field(
        default="auto",
        description="Updates in one call of the compiled program. auto: where they are short, as "
        "many, up to 32, as divide all intervals of the run.",
    )
    input: Literal["auto", "host", "device"] = Field(
        default="auto",
        description="device: the training set lives on the device whole and batches are picked "
        "there. host: batches are read ahead and sent. auto: device up to 256 MiB.",
    )


class Expect(Section):
    """The number a run is expected to reach; stated with the summary at its end."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    metric: str = Field(description="Name of a metric, such as test/error.")
    value: float = Field(description="Expected last value; errors and accuracies are fractions.")
    tolerance: NonNegativeFloat = Field(description="Largest difference that still agrees.")
    source: str = Field(description="Where the number comes from.")
