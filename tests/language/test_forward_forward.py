"""What of a spec does not fit Forward-Forward: losses, answers and data, each in one line."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, told

from fgspec.check.against_data import data_problems
from fgspec.loading.spec_file import loads
from fgspec.spec.dataset_info import DatasetInfo

LOCAL = "losses: {local: {objective: forward_forward"

MISTAKES = {
    "as the final loss": mistake(
        "losses: {objective: forward_forward}\n",
        "a.yaml:4:21: losses.objective.type: every block has a goodness of its own, and no final loss has any; use cross_entropy here, and losses.local.objective: forward_forward (got forward_forward)",
    ),
    "a last block that learns from the final loss": mistake(
        f"rule: lg-bp\n{LOCAL}, last: final}}}}\n",
        "a.yaml:5:29: losses.local.objective.type: the last block would learn from the final loss on images that hold labels; use gradient.target: local and losses.local.last: local (got forward_forward; losses.local.last is final at a.yaml:5:52)",
    ),
    "a head that nothing reads": mistake(
        f"rule: lg-bp\n{LOCAL}, head: mlp, aggregation: pooled}}}}\n",
        "a.yaml:5:52: losses.local.head: never read: forward_forward reads the features themselves; remove it (got {type: mlp}; losses.local.objective.type is forward_forward at a.yaml:5:29)",
        "a.yaml:5:70: losses.local.aggregation: never read: forward_forward reads the features themselves; remove it (got pooled; losses.local.objective.type is forward_forward at a.yaml:5:29)",
    ),
    "an answer by goodness without any": mistake(
        "rule: lg-bp\nlosses: {prediction: goodness}\n",
        "a.yaml:5:22: losses.prediction.type: no local loss has a goodness; use losses.local.objective: forward_forward (got goodness; losses.local.objective is null by default)",
    ),
    "an answer by the goodness of one block": mistake(
        f"rule: lg-bp\narchitecture: {{type: mlp, hidden: [4]}}\n{LOCAL}}}, prediction: goodness}}\n",
        "a.yaml:6:59: losses.prediction.type: the first loss does not count, and there is no other; use more blocks (got goodness; architecture.hidden is [4] at a.yaml:5:35)",
    ),
    "a classifier of blocks that it teaches": mistake(
        "rule: bp\nlosses: {classifier_reads: after_first}\n",
        "a.yaml:5:28: losses.classifier_reads: blocks learn from the classifier, which then reads only the last; use last (got after_first; losses.local is null by rule bp (a.yaml:4:1))",
    ),
    "a classifier of blocks that couple examples": mistake(
        "rule: lg-bp\narchitecture: {type: conv_net}\nlosses: {classifier_reads: after_first}\n",
        "a.yaml:6:28: losses.classifier_reads: batch_norm keeps running statistics for the last block only; use last (got after_first; architecture.normalization.type is batch_norm by default)",
    ),
    "stages of rows that the classifier does not see": mistake(
        f"rule: lg-bp\narchitecture: {{type: mlp}}\n{LOCAL}}}}}\nmesh: {{stage: 2}}\n",
        "a.yaml:6:29: losses.local.objective: beside more rows than examples the classifier needs a second pass through all stages; use cross_entropy, or mesh.stage: 1 (got {type: forward_forward}; mesh.stage is 2 at a.yaml:7:15)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines


@pytest.mark.parametrize(
    ("classes", "shape", "said"),
    [
        (1, (4, 4, 1), "needs a wrong label, but few has 1 classes; use another objective"),
        (
            17,
            (4, 4, 3),
            "writes the label into one pixel a class, but images of few have 16 pixels for 17 classes; use another objective",
        ),
    ],
)
def test_data_without_a_wrong_label_or_a_pixel_for_each(classes, shape, said):
    spec = loads(
        "fgspec: 1\nname: a\nrule: lg-bp\ntraining: {epochs: 1}\narchitecture: {type: mlp, hidden: [4, 4]}\n"
        f"{LOCAL}}}}}\n"
    )
    info = DatasetInfo("few", shape, classes, 1000, 10, (0.5,) * shape[2], (0.2,) * shape[2])
    (problem,) = data_problems(spec.experiment, info)
    assert problem.path == ("losses", "local", "objective", "type")
    assert problem.message == said
