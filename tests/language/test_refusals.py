"""What this version of the compiler refuses, and what does not fit the data."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, told

MISTAKES = {
    "changes of colour of many colours": mistake(
        "architecture: {type: local_mixer, patches: 2}\ndata: {augment: byol, source: {type: synthetic, image: [8, 8, 4]}}\n",
        "a.yaml:5:17: data.augment: byol changes images of 1 or 3 colours; those of synthetic have 4",
    ),
    "a mesh that divides neither the batch nor the groups": mistake(
        "architecture: {type: local_mixer, patches: 2}\nmesh: {data: 3, group: 10}\n",
        "a.yaml:5:14: mesh.data: must divide the 128 examples of a batch; nearest: 1, 2, 4 (got 3; data.batch_size is 128 by default)",
        "a.yaml:5:24: mesh.group: must divide the 16 groups; nearest: 4, 8, 16 (got 10; architecture.groups is 16 by default)",
    ),
    "groups on several devices where there are none": mistake(
        "architecture: {type: mlp}\nmesh: {group: 2}\n",
        "a.yaml:5:15: mesh.group: this network has no group axis to split; use 1 (got 2)",
    ),
    "groups of a chain": mistake(
        "architecture: {type: chain, blocks: [[{type: dense, channels: 12, groups: 6}, {type: grouped, channels: 6}]]}\nmesh: {group: 4}\n",
        "a.yaml:5:15: mesh.group: must divide the 6 groups; nearest: 2, 3, 6 (got 4; architecture.blocks[0][0].groups is 6 at a.yaml:4:75)",
    ),
    "patches over devices": mistake(
        "architecture: {type: local_mixer, patches: 2}\nmesh: {group: 3, rules: [{axis: patch, over: group}]}\n",
        "a.yaml:5:15: mesh.group: must divide the 4 patches; nearest: 1, 2, 4 (got 3; architecture.patches is 2 at a.yaml:4:44)",
    ),
    "stages of a target that crosses blocks": mistake(
        "rule: bp\narchitecture: {type: local_mixer, patches: 2}\nmesh: {stage: 2}\n",
        "a.yaml:4:1: gradient.target: stages learn independently, but gradients of this target cross blocks; use local, or mesh.stage: 1 (is global by rule bp; mesh.stage is 2 at a.yaml:6:15)",
    ),
    "stages under batch norm": mistake(
        "rule: lg-bp\narchitecture: {type: local_mixer, patches: 2, normalization: {type: batch_norm}}\nmesh: {stage: 2}\n",
        "a.yaml:5:69: architecture.normalization.type: stages cannot keep running statistics; use another normalization, or mesh.stage: 1 (got batch_norm; mesh.stage is 2 at a.yaml:6:15)",
    ),
    "stages that project": mistake(
        "rule: lg-fg-a\narchitecture: {type: local_mixer, patches: 2}\ngradient: {perturbation: {projection: {type: dimension}}}\nmesh: {stage: 2}\n",
        "a.yaml:6:46: gradient.perturbation.projection.type: projections need the gradients of all blocks at once; use none, or mesh.stage: 1 (got dimension; mesh.stage is 2 at a.yaml:7:15)",
    ),
    "stages of a contrastive loss": mistake(
        "rule: lg-bp\narchitecture: {type: local_mixer, patches: 2}\nlosses: {objective: {type: info_nce}}\ndata: {augment: byol}\nmesh: {stage: 2}\n",
        "a.yaml:6:28: losses.objective.type: this objective needs a second pass through all stages; use cross_entropy, or mesh.stage: 1 (got info_nce; mesh.stage is 2 at a.yaml:8:15)",
    ),
    "more stages than blocks that learn alone": mistake(
        "rule: lg-bp\narchitecture: {type: local_mixer, patches: 2, blocks: 4}\nlosses: {local: {every: 2}}\nmesh: {stage: 3}\n",
        "a.yaml:7:15: mesh.stage: must be at most 2, the number of block chains with their own loss (got 3; architecture.blocks is 4 at a.yaml:5:55)",
    ),
    "blocks that cannot be scanned": mistake(
        "rule: fg-a\ncompile: {blocks: scanned}\n",
        "a.yaml:5:19: compile.blocks: under target global this estimator reaches over several blocks; use unrolled (got scanned; gradient.target is global by rule fg-a (a.yaml:4:1))",
    ),
    "blocks whose statistics are kept layer by layer": mistake(
        "rule: lg-bp\narchitecture: {type: local_mixer, normalization: {type: batch_norm}}\ncompile: {blocks: scanned}\n",
        "a.yaml:6:19: compile.blocks: batch_norm keeps statistics of every layer; use unrolled (got scanned; architecture.normalization.type is batch_norm at a.yaml:5:57)",
    ),
    "low precision where differences of rounding would be taken": mistake(
        "gradient: {estimator: {type: finite_difference}}\ncompile: {precision: bfloat16}\n",
        "a.yaml:5:22: compile.precision: differences of losses would be mostly rounding errors; use float32 (got bfloat16; gradient.estimator.type is finite_difference at a.yaml:4:30)",
    ),
    "patches that do not divide the images": mistake(
        "architecture: {type: local_mixer, patches: 3}\n",
        "a.yaml:4:44: architecture.patches: must divide the 8x8 images of digits; nearest: 1, 2, 4 (got 3)",
    ),
    "patches that do not divide images by default": mistake(
        "data: {source: {type: synthetic, image: [12, 20, 3]}}\n",
        "a.yaml:1:1: architecture.patches: must divide the 12x20 images of synthetic; nearest: 1, 2, 4 (is 8 by default)",
    ),
    "more patches than pixels": mistake(
        "architecture: {type: local_mixer, patches: 100}\n",
        "a.yaml:4:44: architecture.patches: must divide the 8x8 images of digits; nearest: 2, 4, 8 (got 100)",
    ),
    "a batch larger than the data": mistake(
        "architecture: {type: local_mixer, patches: 2}\ndata: {batch_size: 5000}\n",
        "a.yaml:5:20: data.batch_size: must be at most the 1437 training examples of digits (got 5000)",
    ),
    "a default batch larger than the data": mistake(
        "architecture: {type: local_mixer, patches: 2}\ndata: {source: {type: synthetic, image: [8, 8, 1], train_examples: 64}}\n",
        "a.yaml:5:1: data.batch_size: must be at most the 64 training examples of synthetic (is 128 by default)",
    ),
    "a warm-up of more steps than the run": mistake(
        "architecture: {type: local_mixer, patches: 2}\ntraining: {steps: 110}\noptimizer: {type: sgd, schedule: {type: warmup_cosine}}\n",
        "a.yaml:5:24: optimizer.schedule.warmup_epochs: must end before the run does; an epoch has 11 updates (is 10 by default; training.steps is 110 at a.yaml:4:19)",
        head="fgspec: 1\nname: a\n",
    ),
    "more batches a step than the run has": mistake(
        "architecture: {type: local_mixer, patches: 2}\ntraining: {steps: 3}\noptimizer: {type: sgd, accumulate: 4}\n",
        "a.yaml:5:36: optimizer.accumulate: must be at most the 3 batches of the run, or no step is made (got 4)",
        head="fgspec: 1\nname: a\n",
    ),
    "a rise shorter than an update": mistake(
        "architecture: {type: local_mixer, patches: 2}\ntraining: {steps: 3}\noptimizer: {type: sgd, schedule: {type: one_cycle}}\n",
        "a.yaml:5:24: optimizer.schedule.rise: must be at least one of the run's 3 updates (is 0.3 by default)",
        head="fgspec: 1\nname: a\n",
    ),
    "refusals of the compiler and of the data together": mistake(
        "architecture: {type: local_mixer, patches: 5}\nmesh: {data: 4}\ndata: {batch_size: 1438}\n",
        "a.yaml:4:44: architecture.patches: must divide the 8x8 images of digits; nearest: 2, 4, 8 (got 5)",
        "a.yaml:5:14: mesh.data: must divide the 1438 examples of a batch; nearest: 1, 2, 719 (got 4; data.batch_size is 1438 at a.yaml:6:20)",
        "a.yaml:6:20: data.batch_size: must be at most the 1437 training examples of digits (got 1438)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
