"""What is said of perturbations, guesses and projections that do not fit together."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, names, told

from fgspec.spec.guesses import GUESSES
from fgspec.spec.projections import SCALES

MISTAKES = {
    "a projection that is a misspelled name": mistake(
        "rule: fg-a\ngradient: {perturbation: {projection: squared_nrom}}\n",
        f"a.yaml:5:39: gradient.perturbation.projection.type: must be one of {names(SCALES)}; did you mean squared_norm? (got squared_nrom)",
    ),
    "several samples of one direction": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: local}, samples: 3}}\n",
        "a.yaml:6:102: gradient.perturbation.samples: never read: this guess is a single direction; remove it (got 3; gradient.perturbation.guess.type is local at a.yaml:6:85)",
    ),
    "a set of one direction": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: ntk, set: orthogonal}}}\n",
        "a.yaml:6:95: gradient.perturbation.guess.set: never read: this guess is a single direction; remove it (got orthogonal; gradient.perturbation.guess.type is ntk at a.yaml:6:85)",
    ),
    "a shared guess that is not drawn": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: fixed_ntk}, sharing: batch}}\n",
        "a.yaml:6:106: gradient.perturbation.sharing: never read: this guess is computed, not drawn; remove it (got batch; gradient.perturbation.guess.type is fixed_ntk at a.yaml:6:85)",
    ),
    "opposites in forward mode": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {set: antithetic}, samples: 2}}\n",
        "a.yaml:5:84: gradient.perturbation.guess.set: antithetic samples add nothing in forward mode; use independent (got antithetic; gradient.estimator.type is forward at a.yaml:5:46)",
    ),
    "opposites that are odd": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {target: global, estimator: {type: finite_difference}, perturbation: {guess: {set: antithetic}, samples: 3}}\n",
        "a.yaml:5:116: gradient.perturbation.samples: must be even: opposites come in pairs (got 3; gradient.perturbation.guess.set is antithetic at a.yaml:5:94)",
    ),
    "orthogonal signs": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {set: orthogonal}, samples: 2}}\n",
        "a.yaml:5:71: gradient.perturbation.guess.type: spans a uniformly random subspace if the guess is normal; use normal (is rademacher by default; gradient.perturbation.guess.set is orthogonal at a.yaml:5:84)",
    ),
    "an orthogonal set of one": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: normal, set: projected}}}\n",
        "a.yaml:5:56: gradient.perturbation.samples: must be at least 2 for a set (is 1 by default; gradient.perturbation.guess.set is projected at a.yaml:5:98)",
    ),
    "a set that is projected": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: normal, set: orthogonal}, samples: 2, projection: {grouping: block}}}\n",
        "a.yaml:5:98: gradient.perturbation.guess.set: all that is perturbed must move together; use independent (got orthogonal; gradient.perturbation.projection is {grouping: block} at a.yaml:5:135)",
    ),
    "a local guess without local losses": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: local}}}\n",
        "a.yaml:5:85: gradient.perturbation.guess.type: is computed from local losses; add losses.local: {every: 1} (got local)",
    ),
    "a local guess under a rule without local losses": mistake(
        "rule: fg-a\narchitecture: {type: mlp, hidden: [8, 6]}\ngradient: {perturbation: {guess: {type: local}}}\n",
        "a.yaml:6:41: gradient.perturbation.guess.type: is computed from local losses, which rule fg-a does not have; write out the rule's gradient section instead, and add losses.local: {every: 1} (got local)",
    ),
    "a control variate without local losses": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {target: global, estimator: {type: forward}, perturbation: {control_variate: ntk}}\n",
        "a.yaml:5:88: gradient.perturbation.control_variate: is computed from local losses; add losses.local: {every: 1} (got ntk)",
    ),
    "a local guess behind a local loss": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {last: local}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: local}}}\n",
        "a.yaml:5:24: losses.local.last: the last block learns the exact gradient of the final loss; use final (got local; gradient.perturbation.guess.type is local at a.yaml:6:85)",
    ),
    "an estimate of a block without a guess": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: local}, last_block: estimated}}\n",
        "a.yaml:6:105: gradient.perturbation.last_block: there is no guess for the last block; use exact (got estimated; gradient.perturbation.guess.type is local at a.yaml:6:85)",
    ),
    "noise that corrects no noise": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: ntk}, control_variate: local}}\n",
        "a.yaml:6:85: gradient.perturbation.guess.type: a control variate needs a random guess; use normal, rademacher or sphere (got ntk; gradient.perturbation.control_variate is local at a.yaml:6:108)",
    ),
    "replicated losses of a projection": mistake(
        "architecture: {type: local_mixer, patches: 2}\nlosses: {local: {replicate: [patch]}, isolate: block}\ngradient: {target: local, estimator: {type: forward}, perturbation: {projection: {type: dimension}}}\n",
        "a.yaml:5:29: losses.local.replicate: copies of a loss have derivatives of their own only where all that is perturbed moves together; use [] (got [patch]; gradient.perturbation.projection is {type: dimension} at a.yaml:6:82)",
    ),
    "an exact block behind a local loss": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {last: local}}\ngradient: {target: sum, estimator: {type: forward}, perturbation: {last_block: exact}}\n",
        "a.yaml:5:24: losses.local.last: last_block: exact is the gradient of the final loss; use final (got local; gradient.perturbation.last_block is exact at a.yaml:6:80)",
    ),
    "differences along a guess from the network": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: finite_difference}, perturbation: {guess: {type: local}}}\n",
        "a.yaml:6:46: gradient.estimator.type: a projection needs derivatives, not finite differences; use forward (got finite_difference; gradient.perturbation.guess.type is local at a.yaml:6:95)",
    ),
    "the scale of noise for a local guess": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: local}, projection: {type: optimal}}}\n",
        "a.yaml:6:112: gradient.perturbation.projection.type: is the scale for noise of unit variance, but this guess is not drawn; use squared_norm or none (got optimal; gradient.perturbation.guess.type is local at a.yaml:6:85)",
    ),
    "noise of examples on weights": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {target: global, estimator: {type: forward}, perturbation: {space: weight, projection: {granularity: example}}}\n",
        "a.yaml:5:112: gradient.perturbation.projection.granularity: noise on weights is shared by the batch; use batch, or set sharing: example (got example; gradient.perturbation.space is weight at a.yaml:5:78)",
    ),
    "the sign of a span": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: local}, projection: {granularity: span, coefficient: sign}}}\n",
        "a.yaml:6:138: gradient.perturbation.projection.coefficient: a projection on a span needs raw coefficients; use raw (got sign; gradient.perturbation.projection.granularity is span at a.yaml:6:119)",
    ),
    "contributions scaled by a span": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {space: block_output, guess: {type: local}, projection: {granularity: span, applies_to: weights}}}\n",
        "a.yaml:6:158: gradient.perturbation.projection.applies_to: a projection on a span has no coefficient for each example; use output (got weights; gradient.perturbation.projection.granularity is span at a.yaml:6:140)",
    ),
    "a span that is not projected on": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: local}, projection: {granularity: span, type: none}}}\n",
        "a.yaml:6:131: gradient.perturbation.projection.type: a projection on a span needs squared_norm; use that (got none; gradient.perturbation.projection.granularity is span at a.yaml:6:119)",
    ),
    "the credit of a projection": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {every: 1}}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: local}, credit: paper}}\n",
        "a.yaml:6:101: gradient.perturbation.credit: never read: the losses have no copies; remove it (got paper; gradient.perturbation.guess.type is local at a.yaml:6:85)",
    ),
    "a guess that is misspelled": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {target: global, estimator: {type: forward}, perturbation: {guess: {type: jakobian}}}\n",
        f"a.yaml:5:85: gradient.perturbation.guess.type: must be one of {names(GUESSES)}; did you mean jacobian? (got jakobian)",
    ),
    "overlapping pairs by their old name": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\nlosses: {local: {overlap: true}}\n",
        "a.yaml:5:18: losses.local.overlap: unknown key; known: objective, every, last, replicate, aggregation, head",
    ),
    "a derivative of a rule that takes none": mistake(
        "rule: bp\narchitecture: {type: mlp, hidden: [8, 6]}\ncompile: {directional: reverse}\n",
        "a.yaml:6:24: compile.directional: never read by this estimator; remove it (got reverse; gradient.estimator.type is exact by rule bp (a.yaml:4:1))",
    ),
    "a derivative where differences are taken": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {estimator: {type: finite_difference}}\ncompile: {directional: forward}\n",
        "a.yaml:6:24: compile.directional: never read: this estimator takes differences, not derivatives; remove it (got forward; gradient.estimator.type is finite_difference at a.yaml:5:30)",
    ),
    "one gradient for copies of a loss": mistake(
        "rule: lg-fg-a\narchitecture: {type: local_mixer, patches: 2}\ncompile: {directional: reverse}\n",
        "a.yaml:6:24: compile.directional: each copy of a replicated loss needs its own derivative; use forward (got reverse)",
    ),
    "one gradient for examples that are coupled": mistake(
        "rule: fg-a\narchitecture: {type: mlp, hidden: [8, 6], normalization: {type: batch_norm}}\ncompile: {directional: reverse}\n",
        "a.yaml:6:24: compile.directional: batch_norm couples examples, and each needs the derivative of its own loss; use forward (got reverse)",
    ),
    "tangents along a span": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {estimator: {type: forward}, perturbation: {guess: {type: global}, projection: {granularity: span}}}\ncompile: {directional: forward}\n",
        "a.yaml:6:24: compile.directional: a projection on a span takes the whole gradients; use reverse (got forward)",
    ),
    "tangents of every example's weights": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {estimator: {type: forward}, perturbation: {space: weight, guess: {type: global}}}\ncompile: {directional: forward}\n",
        "a.yaml:6:24: compile.directional: guesses of every example's weights are never held at once; use reverse (got forward)",
    ),
    "tangents of examples that are coupled": mistake(
        "architecture: {type: mlp, hidden: [8, 6], normalization: {type: batch_norm}}\ngradient: {estimator: {type: forward}, perturbation: {guess: {type: global}}}\ncompile: {directional: forward}\n",
        "a.yaml:6:24: compile.directional: batch_norm couples examples, whose guesses move each other's losses; use reverse (got forward)",
    ),
    "a direction that is no word": mistake(
        "compile: {directional: backward}\n",
        "a.yaml:4:24: compile.directional: must be one of auto, forward, reverse (got backward)",
    ),
    "noise of a rule that draws none": mistake(
        "rule: bp\narchitecture: {type: mlp, hidden: [8, 6]}\ncompile: {noise: drawn}\n",
        "a.yaml:6:18: compile.noise: never read by this estimator; remove it (got drawn; gradient.estimator.type is exact by rule bp (a.yaml:4:1))",
    ),
    "noise of a projection drawn again": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {estimator: {type: forward}, perturbation: {projection: {type: optimal}}}\ncompile: {noise: drawn}\n",
        "a.yaml:6:18: compile.noise: never read by projections; remove it (got drawn; gradient.perturbation is {projection: {type: optimal}} at a.yaml:5:54)",
    ),
    "noise of a set drawn again": mistake(
        "architecture: {type: mlp, hidden: [8, 6]}\ngradient: {estimator: {type: forward}, perturbation: {guess: {type: normal, set: orthogonal}, samples: 2}}\ncompile: {noise: drawn}\n",
        "a.yaml:6:18: compile.noise: the samples of this set are drawn together; use stored (got drawn; gradient.perturbation.guess.set is orthogonal at a.yaml:5:82)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert MISTAKES[name].lines
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
