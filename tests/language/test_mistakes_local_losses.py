"""The specs of a clumsy user: objectives of local losses and answers that do not fit the rest."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, told

MISTAKES = {
    "a final loss that is one of features": mistake(
        "losses: {objective: predsim}\n",
        "a.yaml:4:21: losses.objective.type: predsim is a loss of features inside the network; use cross_entropy here, and losses.local.objective: predsim (got predsim)",
    ),
    "no objective that anything reads": mistake(
        "rule: lg-bp\ndata: {augment: byol}\nlosses: {objective: info_nce, local: {objective: cross_entropy, last: local}}\n",
        "a.yaml:6:21: losses.objective.type: never read: every loss is local, with an objective of its own; use cross_entropy (got info_nce; losses.local.objective is {type: cross_entropy} at a.yaml:6:50)",
    ),
    "patches that are averaged away": mistake(
        "rule: lg-bp\nlosses: {local: {objective: clapp}}\n",
        "a.yaml:5:10: losses.local.aggregation: clapp compares patches, which aggregation replicated averages away; use pooled (is replicated by default; losses.local.objective.type is clapp at a.yaml:5:29)",
    ),
    "a head that is never read": mistake(
        "rule: lg-bp\nlosses: {local: {objective: clapp, aggregation: pooled, head: {type: mlp}}}\n",
        "a.yaml:5:63: losses.local.head: never read: clapp reads the features themselves; remove it (got {type: mlp}; losses.local.objective.type is clapp at a.yaml:5:29)",
    ),
    "no other image": mistake(
        "rule: lg-bp\ndata: {batch_size: 1}\nlosses: {local: {objective: clapp, aggregation: pooled}}\n",
        "a.yaml:5:20: data.batch_size: clapp has no other image in a batch of one example; give at least 2 (got 1; losses.local.objective.type is clapp at a.yaml:6:29)",
    ),
    "the same view twice": mistake(
        "rule: lg-bp\nlosses: {local: {objective: clapp_plus_plus, aggregation: pooled}}\n",
        "a.yaml:5:29: data.augment.type: clapp_plus_plus compares two augmented views; use byol (is none by default; losses.local.objective.type is clapp_plus_plus at a.yaml:5:29)",
    ),
    "no pairs": mistake(
        "rule: lg-bp\ndata: {batch_size: 1}\nlosses: {local: {objective: predsim}}\n",
        "a.yaml:5:20: data.batch_size: predsim has no pairs in a batch of one example; give at least 2 (got 1; losses.local.objective.type is predsim at a.yaml:6:29)",
    ),
    "similarities in copies that are computed together": mistake(
        "rule: lg-fg-a\nlosses: {local: {objective: predsim}}\ncompile: {losses: fused}\n",
        "a.yaml:6:19: compile.losses: predsim couples the loss copies of all rows; use naive (got fused; losses.local.objective.type is predsim at a.yaml:5:29)",
    ),
    "similarities and noise on weights of single examples": mistake(
        "rule: lg-fg-w\nlosses: {local: {objective: predsim}}\ngradient: {perturbation: {sharing: example}}\n",
        "a.yaml:6:36: gradient.perturbation.sharing: predsim couples examples, so noise on one example changes the losses of others; use batch (got example; losses.local.objective.type is predsim at a.yaml:5:29)",
    ),
    "a noise scale of examples that local losses compare": mistake(
        "rule: lg-bp\nlosses: {local: {objective: predsim}}\ndiagnostics: {every: {epochs: 1}, noise_scale: 4}\n",
        "a.yaml:6:48: diagnostics.noise_scale: the gradient is not a mean over examples, as predsim compares the examples of the batch; remove it (got 4; losses.local.objective.type is predsim at a.yaml:5:29)",
    ),
    "two views in a pipeline": mistake(
        "rule: lg-bp\ndata: {augment: byol}\narchitecture: {type: mlp, hidden: [4, 4], normalization: none}\nlosses: {local: {objective: info_nce}}\nmesh: {stage: 2}\n",
        "a.yaml:7:29: losses.local.objective: beside more rows than examples the classifier needs a second pass through all stages; use cross_entropy, or mesh.stage: 1 (got {type: info_nce}; mesh.stage is 2 at a.yaml:8:15)",
    ),
    "a sum over no heads": mistake(
        "losses: {prediction: sum}\n",
        "a.yaml:4:22: losses.prediction.type: there are no local losses, so nothing to sum; use classifier (got sum)",
    ),
    "a sum of what scores no class": mistake(
        "rule: lg-bp\nlosses: {local: {objective: clapp, aggregation: pooled}, prediction: sum}\n",
        "a.yaml:5:70: losses.prediction.type: outputs under clapp are no scores of classes; use classifier (got sum)",
    ),
    "a sum of heads without statistics": mistake(
        "rule: lg-bp\narchitecture: {type: mlp, hidden: [4], normalization: {type: batch_norm}}\nlosses: {prediction: sum}\n",
        "a.yaml:6:22: losses.prediction.type: heads keep no running statistics of batch_norm; use classifier (got sum; architecture.normalization.type is batch_norm at a.yaml:5:62)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
