"""The specs of a clumsy user: fields that contradict each other, with both places."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, names, told

from fgspec.spec.estimators import ESTIMATORS
from fgspec.spec.rules import RULES

MISTAKES = {
    "neither epochs nor steps": mistake(
        "training: {}\n",
        "a.yaml:3:11: training: give either epochs or steps",
        head="fgspec: 1\nname: a\n",
    ),
    "both epochs and steps": mistake(
        "training: {epochs: 3, steps: 4}\n",
        "a.yaml:3:30: training.steps: give either epochs or steps; remove one of the two (got 4; training.epochs is 3 at a.yaml:3:20)",
        head="fgspec: 1\nname: a\n",
    ),
    "a misspelled length of the run": mistake(
        "training: {epoch: 3}\n",
        "a.yaml:3:12: training.epoch: unknown key; did you mean epochs?",
        head="fgspec: 1\nname: a\n",
    ),
    "patience of both": mistake(
        "training: {epochs: 2, stop_early: {patience: {epochs: 1, steps: 2}}}\n",
        "a.yaml:3:46: training.stop_early.patience: give either epochs or steps, such as {epochs: 1} (got {epochs: 1, steps: 2})",
        head="fgspec: 1\nname: a\n",
    ),
    "a norm of all blocks in a pipeline": mistake(
        "rule: lg-bp\noptimizer: {type: sgd, clip: {type: global_norm}}\nmesh: {stage: 2}\n",
        "a.yaml:5:37: optimizer.clip.type: needs the gradients of all blocks at once, and each stage of a pipeline is at another batch; use block_norm (got global_norm; mesh.stage is 2 at a.yaml:6:15)",
    ),
    "a norm of each of many batches": mistake(
        "optimizer: {type: sgd, accumulate: 2, clip: {type: global_norm}}\n",
        "a.yaml:4:52: optimizer.clip.type: global_norm clips the gradient of each batch, not their mean; use block_norm (got global_norm; optimizer.accumulate is 2 at a.yaml:4:36)",
    ),
    "drops that go back": mistake(
        "optimizer: {type: sgd, schedule: {type: multi_step, at_epochs: [3, 2]}}\n",
        "a.yaml:4:64: optimizer.schedule.at_epochs: must ascend, such as [30, 60, 80] (got [3, 2])",
    ),
    "factors of a part twice, and of no decay": mistake(
        "optimizer: {type: sgd, factors: {parts: [{of: heads, rate: 2}, {of: heads, decay: 0}]}}\n",
        "a.yaml:4:69: optimizer.factors.parts[1].of: is there twice; give one of them (got heads)",
        "a.yaml:4:83: optimizer.factors.parts[1].decay: never read: there is no weight decay; remove it (got 0)",
    ),
    "a noise scale that is never measured": mistake(
        "diagnostics: {noise_scale: 4}\n",
        "a.yaml:4:28: diagnostics.noise_scale: never read without diagnostics.every; add that or remove this (got 4)",
    ),
    "a noise scale from parts of several sizes": mistake(
        "data: {batch_size: 12}\ndiagnostics: {every: {epochs: 1}, noise_scale: 5}\n",
        "a.yaml:5:48: diagnostics.noise_scale: must divide the 12 examples of a batch; nearest: 3, 4, 6 (got 5; data.batch_size is 12 at a.yaml:4:20)",
    ),
    "a noise scale of examples that are compared": mistake(
        "data: {augment: byol}\nlosses: {objective: {type: info_nce}}\ndiagnostics: {every: {epochs: 1}, noise_scale: 4}\n",
        "a.yaml:6:48: diagnostics.noise_scale: the gradient is not a mean over examples, as info_nce compares the examples of the batch; remove it (got 4; losses.objective.type is info_nce at a.yaml:5:28)",
    ),
    "a noise scale of examples that are normalized together": mistake(
        "architecture: {type: mlp, normalization: {type: batch_norm}}\ndiagnostics: {every: {epochs: 1}, noise_scale: 4}\n",
        "a.yaml:5:48: diagnostics.noise_scale: the gradient is not a mean over examples, as batch_norm normalizes over the batch; remove it (got 4; architecture.normalization.type is batch_norm at a.yaml:4:49)",
    ),
    "a noise scale of one derivative for the batch": mistake(
        "rule: fg-a\ngradient: {perturbation: {projection: {granularity: batch}}}\ndiagnostics: {every: {epochs: 1}, noise_scale: 4}\n",
        "a.yaml:6:48: diagnostics.noise_scale: the gradient is not a mean over examples, as one derivative of the batch multiplies the guesses of all its examples; remove it (got 4; gradient.perturbation.projection.granularity is batch at a.yaml:5:53)",
    ),
    "an interval of neither": mistake(
        "checkpoint: {every: {}}\n",
        "a.yaml:4:21: checkpoint.every: give either epochs or steps, such as {epochs: 1} (got {})",
    ),
    "an interval of both": mistake(
        "checkpoint: {every: {epochs: 1, steps: 1}}\n",
        "a.yaml:4:21: checkpoint.every: give either epochs or steps, such as {epochs: 1} (got {epochs: 1, steps: 1})",
    ),
    "intervals of none": mistake(
        "training: {epochs: 3, evaluate_every: {epochs: 0}, log_every: {step: 1}}\n",
        "a.yaml:3:48: training.evaluate_every.epochs: must be >= 1 (got 0)",
        "a.yaml:3:64: training.log_every.step: unknown key; did you mean steps?",
        head="fgspec: 1\nname: a\n",
    ),
    "a warm-up as long as the run": mistake(
        "optimizer: {type: sgd, schedule: {type: warmup_cosine, warmup_epochs: 2}}\n",
        "a.yaml:4:71: optimizer.schedule.warmup_epochs: must be fewer than the run's (got 2; training.epochs is 2 at a.yaml:3:20)",
    ),
    "a warm-up longer by default": mistake(
        "optimizer: {type: sgd, schedule: {type: warmup_cosine}}\n",
        "a.yaml:4:24: optimizer.schedule.warmup_epochs: must be fewer than the run's (is 10 by default; training.epochs is 2 at a.yaml:3:20)",
    ),
    "groups that do not divide the channels": mistake(
        "architecture:\n  type: local_mixer\n  channels: 128\n  groups: 7\n",
        "a.yaml:7:11: architecture.groups: must divide channels; nearest: 2, 4, 8 (got 7; architecture.channels is 128 at a.yaml:6:13)",
    ),
    "groups that do not divide the default": mistake(
        "architecture: {type: local_mixer, groups: 1000}\n",
        "a.yaml:4:43: architecture.groups: must divide channels; nearest: 128, 256, 512 (got 1000; architecture.channels is 512 by default)",
    ),
    "channels that the default does not divide": mistake(
        "architecture: {type: local_mixer, channels: 24}\n",
        "a.yaml:4:1: architecture.groups: must divide channels; nearest: 8, 12, 24 (is 16 by default; architecture.channels is 24 at a.yaml:4:45)",
    ),
    "normalization options without one": mistake(
        "architecture: {type: mlp, normalization: {type: none, placement: [], readout: false, gradient: ignored}}\n",
        "a.yaml:4:66: architecture.normalization.placement: never read without a normalization; remove it (got []; architecture.normalization.type is none at a.yaml:4:49)",
        "a.yaml:4:79: architecture.normalization.readout: never read without a normalization; remove it (got false; architecture.normalization.type is none at a.yaml:4:49)",
        "a.yaml:4:96: architecture.normalization.gradient: never read without a normalization; remove it (got ignored; architecture.normalization.type is none at a.yaml:4:49)",
    ),
    "a normalization of nothing": mistake(
        "architecture: {type: mlp, normalization: {type: layer_norm, placement: [], readout: false}}\n",
        "a.yaml:4:42: architecture.normalization: normalizes nothing; name a placement or use type: none",
    ),
    "a normalization twice at one place": mistake(
        "architecture: {type: mlp, normalization: {type: layer_norm, placement: [after_linear, after_linear]}}\n",
        "a.yaml:4:72: architecture.normalization.placement: names a place twice (got [after_linear, after_linear])",
    ),
    "a scalar placement": mistake(
        "architecture: {type: mlp, normalization: {type: layer_norm, placement: after_linear}}\n",
        "a.yaml:4:72: architecture.normalization.placement: must be a list, such as [after_linear] (got after_linear)",
    ),
    "an ignored gradient under backprop": mistake(
        "architecture: {type: local_mixer, normalization: {gradient: ignored}}\n",
        "a.yaml:4:61: architecture.normalization.gradient: only has an effect when activations are perturbed; remove it (got ignored; gradient.estimator.type is exact by default)",
    ),
    "an ignored gradient under weights": mistake(
        "rule: fg-w\narchitecture: {type: local_mixer, normalization: {gradient: ignored}}\n",
        "a.yaml:5:61: architecture.normalization.gradient: only has an effect when activations are perturbed; remove it (got ignored; gradient.perturbation.space is weight by rule fg-w (a.yaml:4:1))",
    ),
    "an ignored gradient of nothing": mistake(
        "rule: fg-a\narchitecture: {type: local_mixer, normalization: {gradient: ignored, placement: [before_linear]}}\n",
        "a.yaml:5:61: architecture.normalization.gradient: never read without a normalization after_linear; remove it (got ignored; architecture.normalization.placement is [before_linear] at a.yaml:5:81)",
    ),
    "token mixing with one block": mistake(
        "architecture: {type: local_mixer, blocks: 1, token_mixing: depthwise}\n",
        "a.yaml:4:60: architecture.token_mixing: never read: the first block has no token mixing; remove it (got depthwise; architecture.blocks is 1 at a.yaml:4:43)",
    ),
    "losses that miss the last block": mistake(
        "rule: lg-bp\narchitecture: {type: local_mixer, blocks: 6}\nlosses: {local: {every: 4}}\n",
        "a.yaml:6:25: losses.local.every: must divide the 6 blocks, or the last block would have no loss; nearest: 2, 3, 6 (got 4; architecture.blocks is 6 at a.yaml:5:43)",
    ),
    "losses that miss the last hidden layer": mistake(
        "rule: lg-bp\narchitecture: {type: mlp, hidden: [8, 8, 8]}\nlosses: {local: {every: 2}}\n",
        "a.yaml:6:25: losses.local.every: must divide the 3 blocks, or the last block would have no loss; nearest: 1, 3 (got 2; architecture.hidden is [8, 8, 8] at a.yaml:5:35)",
    ),
    "losses after more blocks than there are": mistake(
        "rule: lg-bp\nlosses: {local: {every: 5}}\n",
        "a.yaml:5:25: losses.local.every: must divide the 4 blocks, or the last block would have no loss; nearest: 1, 2, 4 (got 5; architecture.blocks is 4 by default)",
    ),
    "copies of an exact loss": mistake(
        "rule: lg-bp\nlosses: {local: {replicate: [patch]}}\n",
        "a.yaml:5:29: losses.local.replicate: never read: copies of a loss do not change an exact gradient; remove it (got [patch]; gradient.estimator.type is exact by rule lg-bp (a.yaml:4:1))",
    ),
    "copies along axes of an mlp": mistake(
        "rule: lg-fg-a\narchitecture: {type: mlp}\nlosses: {local: {replicate: [patch]}}\n",
        "a.yaml:6:29: losses.local.replicate: mlp has no patch axis; remove it (got [patch]; architecture.type is mlp at a.yaml:5:22)",
    ),
    "copies twice along an axis": mistake(
        "rule: lg-fg-a\nlosses: {local: {replicate: [patch, patch]}}\n",
        "a.yaml:5:29: losses.local.replicate: names an axis twice (got [patch, patch])",
    ),
    "a local target without local losses": mistake(
        "gradient: {target: local}\n",
        "a.yaml:4:20: gradient.target: needs local losses; add losses.local: {every: 1} or use global (got local)",
    ),
    "a sum of local losses without any": mistake(
        "gradient: {target: sum}\n",
        "a.yaml:4:20: gradient.target: needs local losses; add losses.local: {every: 1} or use global (got sum)",
    ),
    "isolated blocks without losses": mistake(
        "losses: {isolate: block}\n",
        "a.yaml:4:19: losses.isolate: needs a local loss at the end of each block; add losses.local: {every: 1} (got block)",
    ),
    "isolated blocks under a global target": mistake(
        "losses: {local: {}, isolate: block}\n",
        "a.yaml:4:30: gradient.target: no gradient passes between isolated blocks; use local (is global by default; losses.isolate is block at a.yaml:4:30)",
    ),
    "isolated blocks under a sum": mistake(
        "losses: {local: {}, isolate: block}\ngradient: {target: sum}\n",
        "a.yaml:5:20: gradient.target: no gradient passes between isolated blocks; use local (got sum; losses.isolate is block at a.yaml:4:30)",
    ),
    "a local target without isolation": mistake(
        "losses: {local: {}}\ngradient: {target: local}\n",
        "a.yaml:4:1: losses.isolate: this target uses only the block's own loss, so blocks must be isolated; use isolate: block (is none by default; gradient.target is local at a.yaml:5:20)",
    ),
    "isolated layers under backprop": mistake(
        "losses: {isolate: layer}\n",
        "a.yaml:4:19: losses.isolate: only direct feedback isolates layers; use none or block (got layer; gradient.estimator.type is exact by default)",
    ),
    "direct feedback without isolation": mistake(
        "gradient: {estimator: {type: direct_feedback}}\n",
        "a.yaml:4:30: losses.isolate: direct feedback isolates layers; use layer (is none by default; gradient.estimator.type is direct_feedback at a.yaml:4:30)",
    ),
    "a perturbation under backprop": mistake(
        "gradient: {perturbation: {samples: 2}}\n",
        "a.yaml:4:26: gradient.perturbation: never read by this estimator; remove it (gradient.estimator.type is exact by default)",
    ),
    "a perturbation of nothing": mistake(
        "gradient: {perturbation: {}}\n",
        "a.yaml:4:26: gradient.perturbation: never read by this estimator; remove it (gradient.estimator.type is exact by default)",
    ),
    "a perturbation under rule bp": mistake(
        "rule: bp\ngradient: {perturbation: {samples: 2}}\n",
        "a.yaml:5:26: gradient.perturbation: rule bp at a.yaml:4:1 never reads it; remove one of the two",
    ),
    "weights perturbed for each example under batch norm": mistake(
        "architecture: {type: conv_net}\ngradient:\n  estimator: {type: forward}\n  perturbation: {space: weight, sharing: example}\n",
        "a.yaml:7:42: gradient.perturbation.sharing: batch_norm couples examples, so noise on one example changes the losses of others; use batch (got example; architecture.normalization.type is batch_norm by default)",
    ),
    "a projection of the batch on noise of every example's weights": mistake(
        "rule: fg-w\ngradient: {perturbation: {sharing: example, projection: {granularity: batch, grouping: block}}}\n",
        "a.yaml:5:36: gradient.perturbation.sharing: one derivative for all examples needs noise that they share; use batch (got example; gradient.perturbation.projection.granularity is batch at a.yaml:5:71)",
    ),
    "projections of examples on noise of the batch's weights": mistake(
        "rule: fg-w\ngradient: {perturbation: {sharing: batch, projection: {granularity: example, grouping: block}}}\n",
        "a.yaml:5:36: gradient.perturbation.sharing: one derivative per example needs noise per example; use example (got batch; gradient.perturbation.projection.granularity is example at a.yaml:5:69)",
    ),
    "shared views where there are none": mistake(
        "rule: fg-a\ngradient: {perturbation: {sharing: views}}\n",
        "a.yaml:5:36: gradient.perturbation.sharing: this objective has one view of each example; use example or batch (got views; losses.objective.type is cross_entropy by default)",
    ),
    "noise of the batch under batch norm": mistake(
        "architecture: {type: conv_net}\nrule: fg-a\ngradient: {perturbation: {sharing: batch}}\n",
        "a.yaml:6:36: gradient.perturbation.sharing: batch_norm couples examples, so noise on one example changes the losses of others; use example (got batch; architecture.normalization.type is batch_norm by default)",
    ),
    "memory saved where nothing goes backward": mistake(
        "rule: fg-a\ncompile: {rematerialize: 1}\n",
        "a.yaml:5:26: compile.rematerialize: only affects estimators with a backward pass; remove it (got 1; gradient.estimator.type is forward by rule fg-a (a.yaml:4:1))",
    ),
    "views that share the noise of weights": mistake(
        "data: {augment: byol}\nlosses: {objective: {type: info_nce}}\nrule: fg-w\ngradient: {perturbation: {sharing: views}}\n",
        "a.yaml:7:36: gradient.perturbation.sharing: views can share noise on features only; use batch or example (got views; gradient.perturbation.space is weight by rule fg-w (a.yaml:6:1))",
    ),
    "a contrastive loss without negatives": mistake(
        "data: {augment: byol, batch_size: 1}\nlosses: {objective: {type: info_nce}}\n",
        "a.yaml:4:35: data.batch_size: info_nce has no negatives in a batch of one example; give at least 2 (got 1; losses.objective.type is info_nce at a.yaml:5:28)",
    ),
    "an expectation of a final loss that is not there": mistake(
        "data: {augment: byol}\nrule: lg-bp\nlosses: {objective: {type: info_nce}}\nexpect: {metric: train/objective, value: 1, tolerance: 1, source: x}\n",
        "a.yaml:7:18: expect.metric: no such metric; known: train/loss, train/error, train/accuracy, test/loss, test/error, test/accuracy, train/learning_rate, optim/grad_norm, perf/step_time_s, perf/examples_per_s, data/wait_s, local_loss/block0, local_loss/block1, local_loss/block2, local_loss/block3 (got train/objective)",
    ),
    "a contrastive loss without views": mistake(
        "losses: {objective: {type: info_nce}}\n",
        "a.yaml:4:28: data.augment.type: info_nce compares two augmented views; use byol (is none by default; losses.objective.type is info_nce at a.yaml:4:28)",
    ),
    "lowerings of tangents under feedback": mistake(
        "rule: fa\ncompile: {losses: naive}\n",
        "a.yaml:5:19: compile.losses: never read by this estimator; remove it (got naive; gradient.estimator.type is feedback by rule fa (a.yaml:4:1))",
    ),
    "direct feedback of a local loss": mistake(
        "losses: {local: {}, isolate: layer}\ngradient: {target: local, estimator: {type: direct_feedback}}\n",
        "a.yaml:5:20: gradient.target: direct feedback sends the error of the final loss to each layer; use global (got local; gradient.estimator.type is direct_feedback at a.yaml:5:45)",
    ),
    "lowerings of tangents without tangents": mistake(
        "compile: {losses: naive, noise: drawn}\n",
        "a.yaml:4:19: compile.losses: never read by this estimator; remove it (got naive; gradient.estimator.type is exact by default)",
        "a.yaml:4:33: compile.noise: never read by this estimator; remove it (got drawn; gradient.estimator.type is exact by default)",
    ),
    "a retired way to take samples": mistake(
        "rule: fg-a\ncompile: {samples: vectorized}\n",
        "a.yaml:5:20: compile.samples: was removed from the language: samples are always computed one by one, which was never slower; remove it (got vectorized)",
    ),
    "a retired way to take samples, by --set": mistake(
        "rule: fg-a\n",
        "--set: compile.samples: was removed from the language: samples are always computed one by one, which was never slower; remove it (got 3)",
        sets=["compile.samples=3"],
    ),
    "a factor of heads that are not there": mistake(
        "optimizer: {type: sgd, factors: {heads: 2}}\n",
        "a.yaml:4:41: optimizer.factors.heads: never read: there are no local losses, so no heads; remove it (got 2)",
    ),
    "an unknown metric": mistake(
        "expect: {metric: test/eror, value: 0.1, tolerance: 0.1, source: x}\n",
        "a.yaml:4:18: expect.metric: no such metric; did you mean test/error? (got test/eror)",
    ),
    "a metric of a block without a loss": mistake(
        "rule: lg-bp\nlosses: {local: {every: 2}}\nexpect: {metric: local_loss/block0, value: 0.1, tolerance: 0.1, source: x}\n",
        "a.yaml:6:18: expect.metric: no such metric; did you mean local_loss/block3? (got local_loss/block0)",
    ),
    "a local metric without local losses": mistake(
        "expect: {metric: local_loss/block0, value: 0.1, tolerance: 0.1, source: x}\n",
        "a.yaml:4:18: expect.metric: no such metric; known: train/loss, train/error, train/accuracy, test/loss, test/error, test/accuracy, train/learning_rate, optim/grad_norm, perf/step_time_s, perf/examples_per_s, data/wait_s (got local_loss/block0)",
    ),
    "no devices": mistake(
        "mesh: {data: 0, group: -2}\n",
        "a.yaml:4:14: mesh.data: must be >= 1 or -1 (got 0)",
        "a.yaml:4:24: mesh.group: must be >= 1 or -1 (got -2)",
    ),
    "two axes that take what is left": mistake(
        "mesh: {data: -1, group: -1}\n",
        "a.yaml:4:25: mesh.group: only one axis can be -1; give a number of devices (got -1; mesh.data is -1 at a.yaml:4:14)",
    ),
    "an unknown rule": mistake(
        "rule: xyzzy\n",
        f"a.yaml:4:7: rule: no such rule; known: {names(RULES)} (got xyzzy)",
    ),
    "a misspelled rule, and what follows from it": mistake(
        "rule: lg-fga\ngradient: {perturbation: {samples: 2}}\n",
        "a.yaml:4:7: rule: no such rule; did you mean lg-fg-a? (got lg-fga)",
    ),
    "a rule with underscores": mistake(
        "rule: LG_FG_A\n",
        "a.yaml:4:7: rule: no such rule; did you mean lg-fg-a? (got LG_FG_A)",
    ),
    "a list of rules": mistake(
        "rule: [bp, fa]\n",
        f"a.yaml:4:7: rule: no such rule; known: {names(RULES)} (got [bp, fa])",
    ),
    "a mapping for a rule": mistake(
        "rule: {type: bp}\n",
        f"a.yaml:4:7: rule: no such rule; known: {names(RULES)} (got {{type: bp}})",
    ),
    "a misspelled key of the rule": mistake(
        "rul: lg-fg-a\ngradient: {perturbation: {samples: 2}}\n",
        "a.yaml:4:1: rul: unknown key; did you mean rule?",
    ),
    "a rule and another target": mistake(
        "rule: lg-fg-a\ngradient: {target: sum}\n",
        "a.yaml:5:20: gradient.target: rule lg-fg-a at a.yaml:4:1 sets it to local; remove one of the two (got sum)",
    ),
    "a rule and another estimator": mistake(
        "rule: lg-fg-a\ngradient: {estimator: {type: exact}}\n",
        "a.yaml:5:30: gradient.estimator.type: rule lg-fg-a at a.yaml:4:1 sets it to forward; remove one of the two (got exact)",
    ),
    "a rule and another space": mistake(
        "rule: lg-fg-a\ngradient: {perturbation: {space: weight}}\n",
        "a.yaml:5:34: gradient.perturbation.space: rule lg-fg-a at a.yaml:4:1 sets it to activation; remove one of the two (got weight)",
    ),
    "a rule and another isolation": mistake(
        "rule: lg-fg-a\nlosses: {isolate: none}\n",
        "a.yaml:5:19: losses.isolate: rule lg-fg-a at a.yaml:4:1 sets it to block; remove one of the two (got none)",
    ),
    "a rule and losses it never reads": mistake(
        "rule: bp\nlosses: {local: {every: 1}}\n",
        "a.yaml:5:17: losses.local: rule bp at a.yaml:4:1 never reads it; remove one of the two",
    ),
    "a rule and no losses that it needs": mistake(
        "rule: lg-fg-a\nlosses: {local: null}\n",
        "a.yaml:5:17: losses.local: rule lg-fg-a at a.yaml:4:1 needs it; remove one of the two (got null)",
    ),
    "a rule and a misspelled estimator": mistake(
        "rule: lg-fg-a\ngradient: {estimator: {type: forwrd}}\n",
        f"a.yaml:5:30: gradient.estimator.type: must be one of {names(ESTIMATORS)}; did you mean forward? (got forwrd)",
    ),
    "a mean of pixels without a deviation": mistake(
        "data: {source: {type: image_folder, path: x, mean: [0.5, 0.5, 0.5]}}\n",
        "a.yaml:4:52: data.source.mean: give both mean and std, or neither to have them measured (got [0.5, 0.5, 0.5])",
    ),
    "moments of pixels that are left as they are": mistake(
        "data: {standardize: false, source: {type: image_folder, path: x, mean: [0, 0, 0], std: [1, 1, 1]}}\n",
        "a.yaml:4:72: data.source.mean: never read: images are not standardized; remove it (got [0, 0, 0]; data.standardize is false at a.yaml:4:21)",
        "a.yaml:4:88: data.source.std: never read: images are not standardized; remove it (got [1, 1, 1]; data.standardize is false at a.yaml:4:21)",
    ),
    "test images that are training images": mistake(
        "data: {source: {type: image_folder, path: x, test: train}}\n",
        "a.yaml:4:52: data.source.test: must be another folder than that of the training images (got train; data.source.train is train by default)",
    ),
    "one derivative of the batch, and noise that it shares": mistake(
        "rule: fg-a\ngradient: {perturbation: {sharing: batch, projection: {type: none, granularity: batch, grouping: tensor}}}\n",
        "a.yaml:5:36: gradient.perturbation.sharing: one derivative for the batch times noise that it shares gives every example the gradient of all; use example (got batch; gradient.perturbation.projection.granularity is batch at a.yaml:5:81)",
    ),
    "keys that are free, in copies that are computed together": mistake(
        "rule: lg-fg-a\ndata: {augment: byol}\nlosses: {objective: {type: info_nce, keys: free}}\ncompile: {losses: fused}\n",
        "a.yaml:7:19: compile.losses: keys: free couples the loss copies of all rows; use naive (got fused; losses.objective.keys is free at a.yaml:6:44)",
    ),
    "keys that are free, and views that share noise": mistake(
        "rule: lg-fg-a\ndata: {augment: byol}\nlosses: {objective: {type: info_nce, keys: free}}\ngradient: {perturbation: {sharing: views}}\n",
        "a.yaml:7:36: gradient.perturbation.sharing: keys: free couples examples, so noise on one example changes the losses of others; use example (got views; losses.objective.keys is free at a.yaml:6:44)",
    ),
    "two moments of three colours": mistake(
        "data: {source: {type: image_folder, path: x, mean: [0.5, 0.5], std: [0, 0.2, 0.2]}}\n",
        "a.yaml:4:52: data.source.mean: must list at least 3 (got [0.5, 0.5])",
        "a.yaml:4:70: data.source.std[0]: must be > 0 (got 0)",
    ),
    "ImageNet on the device": mistake(
        "data: {source: {type: imagenet}}\ncompile: {input: device}\n",
        "a.yaml:5:18: compile.input: images of imagenet are decoded batch by batch, not kept in memory; use auto or host (got device; data.source.type is imagenet at a.yaml:4:23)",
    ),
    "a rule and an empty section": mistake(
        "rule: lg-fg-a\ngradient:\n",
        "a.yaml:5:10: gradient: must be a mapping of keys to values (got null)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
