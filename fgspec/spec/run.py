"""`training:`, `checkpoint:`, `compile:` and `expect:` how a run goes."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fgspec.spec.base import (
    Interval,
    NonNegativeFloat,
    PositiveInt,
    Resume,
    Section,
    Unit,
    Values,
)
from fgspec.spec.kinds import OneOf
from fgspec.spec.trackers import TRACKERS, Tracker


class StopEarly(Section):
    """End a run before its length, once evaluations no longer get better."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    patience: Interval = Field(
        description="How long after the best evaluation the run ends, if none was better.",
        examples=[{"epochs": 10}],
    )
    metric: Annotated[
        Literal["leading", "loss"],
        Values(
            {
                "leading": "The metric that the objective is judged by, such as the error.",
                "loss": "The loss of the classifier.",
            }
        ),
    ] = Field(
        default="leading",
        description="The metric that must get better.",
    )
    min_change: NonNegativeFloat = Field(
        default=0.0,
        description="The metric must change by more than this to count as better.",
        examples=[0.001],
    )


class Training(Section):
    """How long to train, and how often to log and evaluate. Give `epochs` or `steps`, not both."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    epochs: Annotated[PositiveInt | None, Unit("epochs")] = Field(
        default=None,
        description="How many passes over the training set. null: give `steps` instead.",
        examples=[10],
    )
    steps: Annotated[PositiveInt | None, Unit("updates")] = Field(
        default=None,
        description="How many updates. null: give `epochs` instead.",
        examples=[1000],
    )
    evaluate_every: Interval = Field(
        default=Interval(epochs=1),
        description="How often the model is evaluated on the validation set, or on the test set if "
        "there is none. There is always an evaluation at the end.",
        examples=[{"epochs": 5}],
    )
    log_every: Interval = Field(
        default=Interval(epochs=1),
        description="How often a line of metrics is written: averages since the line before.",
        examples=[{"steps": 50}],
    )
    stop_early: StopEarly | None = Field(
        default=None,
        description="End the run once evaluations no longer get better. Schedules are those of the "
        "whole length. null: never.",
        examples=[{"patience": {"epochs": 10}}],
    )
    trackers: tuple[Annotated[Tracker, OneOf(TRACKERS, named=True)], ...] = Field(
        default=(),
        description="Tools that receive every line of metrics, besides `metrics.jsonl` in the "
        "run's folder. They change no number.",
        examples=[["csv"]],
    )


class Checkpoint(Section):
    """When to checkpoint; the final state is always saved."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    every: Interval = Field(
        default=Interval(epochs=1),
        description="How often the state is saved. A killed run loses at most this much.",
        examples=[{"epochs": 5}],
    )
    keep: Annotated[PositiveInt, Unit("checkpoints")] = Field(
        default=2, description="How many of the newest checkpoints are kept.", examples=[5]
    )
    best: bool = Field(
        default=False,
        description="Whether to save at every evaluation that is the best so far, by the metric "
        "that the objective is judged by, and to keep that checkpoint besides the newest.",
        examples=[True],
    )


class Diagnostics(Section):
    """How good the gradient estimate is, measured now and then against the target's exact gradient.

    The log then has, for each part of the gradient: `fg/cosine/PART` and `fg/norm_ratio/PART`, of
    the estimate with the exact gradient; `fg/snr/PART`, the squared norm of the gradient over the
    variance of fresh estimates; `fg/alignment/LAYER`, the cosine of backward with forward weights;
    `local_accuracy/BLOCK`, of the local heads on the training batch; and `fg/floor/PART`, the
    numerical floor: |t' - t| / |t| of the exact gradient t and the same gradient t' in float32 with
    the examples of the batch in the opposite order, which differ by rounding alone. What separates
    an estimate from t by no more means nothing.

    With `noise_scale` it has `fg/noise_scale`, of the whole gradient and below `/PART` of each
    part: tr(S) / |G|^2 in examples, the simple gradient-noise scale (McCandlish et al. 2018). G is
    the mean and S the covariance of the estimates of single examples, including the noise of
    guesses that are drawn for each example. `fg/example_variance` and `fg/squared_norm` are the
    unbiased estimates of tr(S) and |G|^2. A log line has no `fg/noise_scale` where the estimate of
    |G|^2 is not positive.
    """

    on_resume: ClassVar = Resume.MAY_CHANGE
    every: Interval | None = Field(
        default=None,
        description="How often to measure, on the training batch of that update. One measurement "
        "costs two exact gradients and 1 + `samples` estimates. null: never.",
        examples=[{"epochs": 1}],
    )
    samples: Annotated[int, Field(ge=2, le=10_000), Unit("estimates")] = Field(
        default=8,
        description="How many fresh estimates the variance is measured by, where guesses are "
        "drawn.",
        examples=[32],
    )
    by: Annotated[
        Literal["block", "layer"],
        Values(
            {"block": "Each block, such as `block0`.", "layer": "Each layer, `block0/channel`."}
        ),
    ] = Field(
        default="block",
        description="Which parts of the gradient are measured, each by itself.",
    )
    noise_scale: Annotated[int, Field(ge=2), Unit("parts")] | None = Field(
        default=None,
        description="Into how many equal parts the batch is cut to measure the gradient-noise "
        "scale. More parts are more precise. It costs one more estimate, or `samples` more where "
        "guesses are drawn. null: not measured.",
        examples=[2],
    )


class Compile(Section):
    """How the update is compiled. These fields change speed and memory, not what is computed."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    losses: Annotated[
        Literal["auto", "fused", "naive"],
        Values(
            {
                "auto": "`fused`, but `naive` where `info_nce` has `keys: free`.",
                "fused": "The loss is computed once for all of its copies.",
                "naive": "Every copy is computed by itself, with stop-gradients; slow, to test "
                "with.",
            }
        ),
    ] = Field(
        default="auto",
        description="How the copies of a replicated loss are computed.",
    )
    # Blocks that are scanned are stacked in the state of a run, too.
    blocks: Annotated[
        Literal["auto", "unrolled", "scanned"],
        Resume.FIXED,
        Values(
            {
                "auto": "`scanned` from three equal blocks in a row where losses are local, and "
                "under `rematerialize`; else `unrolled`.",
                "unrolled": "Every block is compiled by itself.",
                "scanned": "Equal blocks in a row are compiled once, as a loop over stacked "
                "parameters. Compile time does not grow with depth, nor does memory where every "
                "block learns from its own loss.",
            }
        ),
    ] = Field(
        default="auto",
        description="How blocks in a row are compiled.",
    )
    # XLA makes signs of their random words again at both uses by itself. Normal numbers it keeps:
    # drawn again, they take FG-A on the quickstart's network from 26.9 to 22.9 MiB, and 27 % more
    # FLOPs.
    noise: Annotated[
        Literal["auto", "stored", "drawn"],
        Values(
            {
                "auto": "The same as `stored`.",
                "stored": "It is kept. Of random signs only the random words are kept.",
                "drawn": "It is drawn again, which saves the memory of normal noise and costs the "
                "time to draw it twice.",
            }
        ),
    ] = Field(
        default="auto",
        description="What happens to a perturbation between the derivative along it and its "
        "product with that derivative.",
    )
    # `forward` is there for whoever wants no reverse pass anywhere.
    directional: Annotated[
        Literal["auto", "forward", "reverse"],
        Values(
            {
                "auto": "Whichever takes fewer floating-point operations.",
                "forward": "A tangent is pushed forward through the network: forward mode.",
                "reverse": "The inner product of the perturbation with the loss's gradient; one "
                "gradient serves all samples. Not possible where copies of a loss, or examples "
                "that `batch_norm` couples, have derivatives of their own.",
            }
        ),
    ] = Field(
        default="auto",
        description="How the derivative of a loss along a perturbation is computed. The estimate "
        "is the same.",
    )
    # Under `blocks: auto` it decides which blocks are scanned.
    rematerialize: Annotated[
        PositiveInt | Literal["auto", "never"],
        Resume.FIXED,
        Unit("blocks"),
        Values(
            {
                "auto": "The same as `never`.",
                "never": "All intermediate values are stored.",
            }
        ),
    ] = Field(
        default="auto",
        description="Saves memory in reverse mode: only the input of every so many blocks is "
        "stored, and what is inside them is computed again (Chen et al. 2016; arXiv 2506.21833).",
        examples=[2],
    )
    precision: Annotated[
        Literal["float32", "tf32", "bfloat16"],
        Resume.FORKS,
        Values(
            {
                "float32": "32-bit floating point throughout.",
                "tf32": "Matrix products and convolutions round their factors to 11 bits "
                "(TensorFloat32) on Nvidia GPUs from Ampere on. A TPU takes three passes of "
                "bfloat16, a CPU float32.",
                "bfloat16": "16-bit brain floating point.",
            }
        ),
    ] = Field(
        default="float32",
        description="The arithmetic of the blocks. Parameters, normalizations, heads, classifier "
        "and losses are always float32.",
    )
    ynnpack: Annotated[
        Literal["auto", "products", "all", "none"],
        Values(
            {
                "auto": "`products` if anything is convolved or normalized, else `all`. From jax "
                "0.11 on also `all` where an update with normalizations takes less than 1 GFLOP or "
                "draws normal noise.",
                "products": "Matrix products, one by one.",
                "all": "Sums and what is around them too, as XLA itself decides. Before jax 0.11 "
                "each short sum then costs 240 microseconds.",
                "none": "Nothing.",
            }
        ),
    ] = Field(
        default="auto",
        description="What XLA gives to YNNPACK, its library for neural networks, on a CPU.",
    )
    steps_per_call: Annotated[
        PositiveInt | Literal["auto"],
        Unit("updates"),
        Values({"auto": "1 if updates are long; else as many, up to 32, as divide all intervals."}),
    ] = Field(
        default="auto",
        description="How many updates one call of the compiled program makes.",
        examples=[8],
    )
    input: Annotated[
        Literal["auto", "host", "device"],
        Values(
            {
                "auto": "`device` up to 256 MiB, else `host`.",
                "host": "Batches are read ahead on the host and sent to the device.",
                "device": "The whole training set lies on the device, and batches are picked "
                "there.",
            }
        ),
    ] = Field(
        default="auto",
        description="Where batches are made.",
    )


class Expect(Section):
    """A number that the run should reach. The summary at its end says whether it did."""

    on_resume: ClassVar = Resume.MAY_CHANGE
    metric: str = Field(
        description="The name of a metric of the run's log.", examples=["test/error"]
    )
    value: float = Field(
        description="The expected last value. Errors and accuracies are fractions, not percent.",
        examples=[0.03],
    )
    tolerance: NonNegativeFloat = Field(
        description="The largest difference that still counts as reached.", examples=[0.01]
    )
    source: str = Field(
        description="Where the number comes from.", examples=["Ren et al. 2022, table 3"]
    )
    # Not a bool with a default: specs that were written before this field say neither.
    verified: bool | None = Field(
        default=None,
        description="Whether a whole run of this spec has been compared with the number. false: "
        "none has, for example because the data were not at hand, so that a difference may lie in "
        "the spec; reports and `fgspec reproduce` say so. null: the spec does not say.",
        examples=[False],
    )

    @property
    def cited(self) -> str:
        """The source, and that nobody has compared a run with it, where the spec says that."""
        return f"{self.source}; not verified" if self.verified is False else self.source
