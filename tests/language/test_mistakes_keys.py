"""The specs of a clumsy user: a key is wrong or missing, and the line that says so."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, told

MISTAKES = {
    "a misspelled section": mistake(
        "optimiser: {type: sgd, learning_rate: 0.1}\n",
        "a.yaml:4:1: optimiser: unknown key; did you mean optimizer?",
    ),
    "a misspelled key": mistake(
        "optimizer: {type: sgd, learning_rat: 0.1}\n",
        "a.yaml:4:24: optimizer.learning_rat: unknown key of sgd; did you mean learning_rate?",
    ),
    "an abbreviated key": mistake(
        "optimizer: {type: sgd, lr: 0.1}\n",
        "a.yaml:4:24: optimizer.lr: unknown key of sgd; did you mean learning_rate?",
    ),
    "a key without its underscore": mistake(
        "data: {batchsize: 3}\n",
        "a.yaml:4:8: data.batchsize: unknown key; did you mean batch_size?",
    ),
    "a key of another type": mistake(
        "optimizer: {type: adam, momentum: 0.9}\n",
        "a.yaml:4:25: optimizer.momentum: unknown key of adam; known: type, learning_rate, weight_decay, schedule, clip, accumulate, average, factors, decay_after_factors, beta1, beta2, epsilon",
    ),
    "a key of another architecture": mistake(
        "architecture: {type: mlp, blocks: 3}\n",
        "a.yaml:4:27: architecture.blocks: unknown key of mlp; known: type, hidden, bias, normalization, initialization, activation",
    ),
    "a key one level too high": mistake(
        "gradient: {samples: 4}\n",
        "a.yaml:4:12: gradient.samples: unknown key; did you mean gradient.perturbation.samples or phases.gradient.perturbation.samples or diagnostics.samples?",
    ),
    "a key at the root": mistake(
        "learning_rate: 0.1\n",
        "a.yaml:4:1: learning_rate: unknown key; did you mean optimizer.learning_rate?",
    ),
    "a key in the wrong section": mistake(
        "training: {epochs: 2, batch_size: 3}\n",
        "a.yaml:3:23: training.batch_size: unknown key; did you mean data.batch_size?",
        head="fgspec: 1\nname: a\n",
    ),
    "a key that is not a name": mistake(
        "\"a\\nb\": 3\n'': 4\n",
        'a.yaml:4:1: "a\\nb": unknown key; known: fgspec, name, description, seed, data, architecture, losses, gradient, phases, optimizer, start_from, freeze, training, mesh, checkpoint, diagnostics, compile, expect, extends, rule, ablation',
        'a.yaml:5:1: "": unknown key; known: fgspec, name, description, seed, data, architecture, losses, gradient, phases, optimizer, start_from, freeze, training, mesh, checkpoint, diagnostics, compile, expect, extends, rule, ablation',
    ),
    "a key like the type beside it": mistake(
        "optimizer: {type: sgd, sgd: {}}\n",
        "a.yaml:4:24: optimizer.sgd: unknown key of sgd; known: type, learning_rate, weight_decay, schedule, clip, accumulate, average, factors, decay_after_factors, momentum, nesterov",
    ),
    "a number for a key": mistake(
        "optimizer: {type: sgd, 0: {}}\n",
        "a.yaml:4:24: The key '0' is an integer; expected a string: write a name, or quote the key",
    ),
    "a missing key": mistake(
        "data: {source: {type: npz}}\n",
        "a.yaml:4:8: data.source.path: missing; add path:",
    ),
    "a misspelled required key": mistake(
        "data: {source: {type: npz, pth: x.npz}}\n",
        "a.yaml:4:28: data.source.pth: unknown key of npz; did you mean path?",
    ),
    "several missing keys": mistake(
        "expect: {metric: test/error}\n",
        "a.yaml:4:1: expect.source: missing; add source:",
        "a.yaml:4:1: expect.tolerance: missing; add tolerance:",
        "a.yaml:4:1: expect.value: missing; add value:",
    ),
    "no language version": mistake(
        "name: a\ntraining: {epochs: 2}\n",
        "a.yaml:1:1: fgspec: missing; add fgspec:",
        head="",
    ),
    "another language version": mistake(
        "fgspec: 2\nname: a\ntraining: {epochs: 2}\n",
        "a.yaml:1:9: fgspec: must be 1 (got 2)",
        head="",
    ),
    "a language version in quotes": mistake(
        "fgspec: '1'\nname: a\ntraining: {epochs: 2}\n",
        'a.yaml:1:9: fgspec: must be 1 (got "1")',
        head="",
    ),
    "a fractional language version": mistake(
        "fgspec: 1.0\nname: a\ntraining: {epochs: 2}\n",
        "a.yaml:1:9: fgspec: must be a whole number (got 1.0)",
        head="",
    ),
    "a boolean language version": mistake(
        "fgspec: true\nname: a\ntraining: {epochs: 2}\n",
        "a.yaml:1:9: fgspec: must be a whole number (got true)",
        head="",
    ),
    "a misspelled language version": mistake(
        "fgspc: 1\nname: a\ntraining: {epochs: 2}\n",
        "a.yaml:1:1: fgspc: unknown key; did you mean fgspec?",
        head="",
    ),
    "another key for the version": mistake(
        "version: 1\nname: a\ntraining: {epochs: 2}\n",
        "a.yaml:1:1: fgspec: missing; add fgspec:",
        "a.yaml:1:1: version: unknown key; known: fgspec, name, description, seed, data, architecture, losses, gradient, phases, optimizer, start_from, freeze, training, mesh, checkpoint, diagnostics, compile, expect, extends, rule, ablation",
        head="",
    ),
    "no name": mistake(
        "fgspec: 1\ntraining: {epochs: 2}\n",
        "a.yaml:1:1: name: missing; add name:",
        head="",
    ),
    "a name with a space": mistake(
        "fgspec: 1\nname: my run\ntraining: {epochs: 2}\n",
        "a.yaml:2:7: name: must start with a letter or digit and have only letters, digits, '.', '_' and '-' (got my run)",
        head="",
    ),
    "a name with a slash": mistake(
        "fgspec: 1\nname: a/b\ntraining: {epochs: 2}\n",
        "a.yaml:2:7: name: must start with a letter or digit and have only letters, digits, '.', '_' and '-' (got a/b)",
        head="",
    ),
    "a number for a name": mistake(
        "fgspec: 1\nname: 12\ntraining: {epochs: 2}\n",
        "a.yaml:2:7: name: must be text; put it in quotes (got 12)",
        head="",
    ),
    "an empty name": mistake(
        "fgspec: 1\nname: ''\ntraining: {epochs: 2}\n",
        "a.yaml:2:7: name: must start with a letter or digit and have only letters, digits, '.', '_' and '-' (got \"\")",
        head="",
    ),
    "a capital in a key": mistake(
        "fgspec: 1\nName: a\ntraining: {epochs: 2}\n",
        "a.yaml:2:1: Name: unknown key; did you mean name?",
        head="",
    ),
    "a name that is too long": mistake(
        "fgspec: 1\nname: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\ntraining: {epochs: 2}\n",
        "a.yaml:2:7: name: must have at most 100 characters (got aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...)",
        head="",
    ),
    "a misspelled required section": mistake(
        "fgspec: 1\nname: a\ntrianing: {epochs: 3}\n",
        "a.yaml:3:1: trianing: unknown key; did you mean training?",
        head="",
    ),
    "no training": mistake(
        "fgspec: 1\nname: a\n",
        "a.yaml:1:1: training: missing; add training:",
        head="",
    ),
    "an empty training": mistake(
        "fgspec: 1\nname: a\ntraining:\n",
        "a.yaml:3:10: training: must be a mapping of keys to values (got null)",
        head="",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
