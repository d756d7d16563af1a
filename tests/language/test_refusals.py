"""What this version of the compiler refuses, and what does not fit the data."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, told

MISTAKES = {
    "augmentation": mistake(
        "architecture: {type: local_mixer, patches: 2}\ndata: {augment: crop_flip}\n",
        "a.yaml:5:17: data.augment: not supported by this version; use none (got crop_flip)",
    ),
    "a contrastive loss": mistake(
        "architecture: {type: local_mixer, patches: 2}\nlosses: {objective: {type: info_nce}}\ndata: {augment: byol}\n",
        "a.yaml:5:28: losses.objective.type: not supported by this version; use cross_entropy (got info_nce)",
        "a.yaml:6:17: data.augment: not supported by this version; use none (got byol)",
    ),
    "overlapping losses": mistake(
        "architecture: {type: local_mixer, patches: 2}\nlosses: {local: {overlap: true}}\nrule: lg-fg-a\n",
        "a.yaml:5:27: losses.local.overlap: not supported by this version; use false (got true)",
    ),
    "the next block's loss": mistake(
        "architecture: {type: local_mixer, patches: 2}\nlosses: {local: {}}\ngradient: {target: above}\n",
        "a.yaml:6:20: gradient.target: not supported by this version; use global, local or sum (got above)",
    ),
    "all downstream losses under a forward estimator": mistake(
        "architecture: {type: local_mixer, patches: 2}\nlosses: {local: {}}\ngradient: {target: sum, estimator: {type: forward}}\n",
        "a.yaml:6:20: gradient.target: not supported by this version under a forward estimator; use global or local (got sum)",
    ),
    "finite differences": mistake(
        "architecture: {type: local_mixer, patches: 2}\ngradient: {estimator: {type: finite_difference}}\n",
        "a.yaml:5:30: gradient.estimator.type: not supported by this version; use exact, forward, feedback or direct_feedback (got finite_difference)",
    ),
    "an overlap by --set": mistake(
        "architecture: {type: local_mixer, patches: 2}\n",
        "--set: losses.local.overlap: not supported by this version; use false (got true)",
        sets=["rule=lg-fa", "losses.local.overlap=true"],
    ),
    "perturbed outputs of blocks": mistake(
        "architecture: {type: local_mixer, patches: 2}\ngradient: {estimator: {type: forward}, perturbation: {space: block_output}}\n",
        "a.yaml:5:62: gradient.perturbation.space: not supported by this version; use weight or activation (got block_output)",
    ),
    "a guess from the local loss": mistake(
        "architecture: {type: local_mixer, patches: 2}\nlosses: {local: {}}\ngradient: {estimator: {type: forward}, perturbation: {guess: {type: local}}}\n",
        "a.yaml:6:69: gradient.perturbation.guess.type: not supported by this version; use normal, rademacher or sphere (got local)",
    ),
    "orthogonal samples": mistake(
        "architecture: {type: local_mixer, patches: 2}\nrule: fg-a\ngradient: {perturbation: {samples: 2, guess: {set: orthogonal}}}\n",
        "a.yaml:6:52: gradient.perturbation.guess.set: not supported by this version; use independent (got orthogonal)",
    ),
    "a projection": mistake(
        "architecture: {type: local_mixer, patches: 2}\nrule: fg-a\ngradient: {perturbation: {projection: {type: squared_norm}}}\n",
        "a.yaml:6:46: gradient.perturbation.projection.type: not supported by this version; use none (got squared_norm)",
    ),
    "noise shared by views": mistake(
        "architecture: {type: local_mixer, patches: 2}\ndata: {augment: byol}\nlosses: {objective: {type: info_nce}}\nrule: fg-a\ngradient: {perturbation: {sharing: views}}\n",
        "a.yaml:5:17: data.augment: not supported by this version; use none (got byol)",
        "a.yaml:6:28: losses.objective.type: not supported by this version; use cross_entropy (got info_nce)",
        "a.yaml:8:36: gradient.perturbation.sharing: not supported by this version; use example or batch (got views)",
    ),
    "a mesh": mistake(
        "architecture: {type: local_mixer, patches: 2}\nmesh: {data: 2, group: -1, stage: 4}\n",
        "a.yaml:5:14: mesh.data: not supported by this version; use 1 (got 2)",
        "a.yaml:5:24: mesh.group: not supported by this version; use 1 (got -1)",
        "a.yaml:5:35: mesh.stage: not supported by this version; use 1 (got 4)",
    ),
    "scanned blocks, low precision, many steps a call": mistake(
        "architecture: {type: local_mixer, patches: 2}\ncompile: {blocks: scanned, precision: bfloat16, steps_per_call: 4}\n",
        "a.yaml:5:19: compile.blocks: not supported by this version; use auto or unrolled (got scanned)",
        "a.yaml:5:39: compile.precision: not supported by this version; use float32 (got bfloat16)",
        "a.yaml:5:65: compile.steps_per_call: not supported by this version; use auto or 1 (got 4)",
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
    "refusals of the compiler and of the data together": mistake(
        "architecture: {type: local_mixer, patches: 5}\nmesh: {data: 2}\ndata: {batch_size: 1438}\n",
        "a.yaml:4:44: architecture.patches: must divide the 8x8 images of digits; nearest: 2, 4, 8 (got 5)",
        "a.yaml:5:14: mesh.data: not supported by this version; use 1 (got 2)",
        "a.yaml:6:20: data.batch_size: must be at most the 1437 training examples of digits (got 1438)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
