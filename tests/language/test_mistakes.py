"""The specs of a clumsy user: one field is wrong, and the line that says so."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, told

MISTAKES = {
    "a negative learning rate": mistake(
        "optimizer: {type: sgd, learning_rate: -0.1}\n",
        "a.yaml:4:39: optimizer.learning_rate: must be > 0 (got -0.1)",
    ),
    "a learning rate of zero": mistake(
        "optimizer: {type: sgd, learning_rate: 0}\n",
        "a.yaml:4:39: optimizer.learning_rate: must be > 0 (got 0)",
    ),
    "text for a number": mistake(
        "optimizer: {type: sgd, learning_rate: fast}\n",
        "a.yaml:4:39: optimizer.learning_rate: must be a number (got fast)",
    ),
    "a number in quotes": mistake(
        "optimizer: {type: sgd, learning_rate: '0.1'}\n",
        'a.yaml:4:39: optimizer.learning_rate: must be a number (got "0.1")',
    ),
    "a percentage": mistake(
        "expect: {metric: eval/error, value: 30%, tolerance: 0.1, source: x}\n",
        'a.yaml:4:37: expect.value: must be a number (got "30%")',
    ),
    "a boolean for a number": mistake(
        "optimizer: {type: sgd, learning_rate: true}\n",
        "a.yaml:4:39: optimizer.learning_rate: must be a number (got true)",
    ),
    "a boolean for a whole number": mistake(
        "seed: true\n",
        "a.yaml:4:7: seed: must be a whole number (got true)",
    ),
    "nothing for a number": mistake(
        "optimizer: {type: sgd, learning_rate: }\n",
        "a.yaml:4:38: optimizer.learning_rate: must be a number (got null)",
    ),
    "not a number": mistake(
        "optimizer: {type: sgd, learning_rate: .nan}\n",
        "a.yaml:4:39: optimizer.learning_rate: must be a finite number (got .nan)",
    ),
    "infinity": mistake(
        "optimizer: {type: sgd, learning_rate: -.inf}\n",
        "a.yaml:4:39: optimizer.learning_rate: must be a finite number (got -.inf)",
    ),
    "a number too large to hold": mistake(
        "optimizer: {type: sgd, learning_rate: 1e999}\n",
        "a.yaml:4:39: optimizer.learning_rate: must be a finite number (got .inf)",
    ),
    "a decimal comma": mistake(
        "optimizer: {type: sgd, learning_rate: 0,01}\n",
        "a.yaml:4:41: '01' starts with a zero, which some readers take for octal; expected an integer without it: write 1, or quote it if it is text",
    ),
    "a sweep in place of a number": mistake(
        "optimizer: {type: sgd, learning_rate: [0.1, 0.2]}\n",
        "a.yaml:4:39: optimizer.learning_rate: must be a number (got [0.1, 0.2])",
    ),
    "a mapping for a number": mistake(
        "optimizer: {type: sgd, learning_rate: {value: 0.1}}\n",
        "a.yaml:4:39: optimizer.learning_rate: must be a number (got {value: 0.1})",
    ),
    "no in place of false": mistake(
        "optimizer: {type: sgd, nesterov: no}\n",
        "a.yaml:4:34: optimizer.nesterov: must be true or false (got no)",
    ),
    "one in place of true": mistake(
        "optimizer: {type: sgd, nesterov: 1}\n",
        "a.yaml:4:34: optimizer.nesterov: must be true or false (got 1)",
    ),
    "true in quotes": mistake(
        "optimizer: {type: sgd, nesterov: 'true'}\n",
        'a.yaml:4:34: optimizer.nesterov: must be true or false (got "true")',
    ),
    "a momentum of one": mistake(
        "optimizer: {type: sgd, momentum: 1.0}\n",
        "a.yaml:4:34: optimizer.momentum: must be < 1 (got 1.0)",
    ),
    "a fraction of a batch": mistake(
        "data: {batch_size: 12.5}\n",
        "a.yaml:4:20: data.batch_size: must be a whole number (got 12.5)",
    ),
    "a whole number with an exponent": mistake(
        "data: {batch_size: 1e3}\n",
        "a.yaml:4:20: data.batch_size: must be a whole number (got 1000.0)",
    ),
    "a batch of none": mistake(
        "data: {batch_size: 0}\n",
        "a.yaml:4:20: data.batch_size: must be >= 1 (got 0)",
    ),
    "a batch beyond all memory": mistake(
        "data: {batch_size: 99999999999}\n",
        "a.yaml:4:20: data.batch_size: must be < 2147483648 (got 99999999999)",
    ),
    "a negative seed": mistake(
        "seed: -1\n",
        "a.yaml:4:7: seed: must be >= 0 (got -1)",
    ),
    "a seed of 33 bits": mistake(
        "seed: 4294967296\n",
        "a.yaml:4:7: seed: must be < 4294967296 (got 4294967296)",
    ),
    "several seeds": mistake(
        "seed: [0, 1, 2]\n",
        "a.yaml:4:7: seed: must be a whole number (got [0, 1, 2])",
    ),
    "a number for a description": mistake(
        "description: 3\n",
        "a.yaml:4:14: description: must be text; put it in quotes (got 3)",
    ),
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
        "a.yaml:4:24: optimizer.lr: unknown key of sgd; known: type, learning_rate, weight_decay, schedule, factors, momentum, nesterov",
    ),
    "a key without its underscore": mistake(
        "data: {batchsize: 3}\n",
        "a.yaml:4:8: data.batchsize: unknown key; did you mean batch_size?",
    ),
    "a key of another type": mistake(
        "optimizer: {type: adam, momentum: 0.9}\n",
        "a.yaml:4:25: optimizer.momentum: unknown key of adam; known: type, learning_rate, weight_decay, schedule, factors, beta1, beta2, epsilon",
    ),
    "a key of another architecture": mistake(
        "architecture: {type: mlp, blocks: 3}\n",
        "a.yaml:4:27: architecture.blocks: unknown key of mlp; known: type, hidden, bias, normalization, initialization",
    ),
    "a key one level too high": mistake(
        "gradient: {samples: 4}\n",
        "a.yaml:4:12: gradient.samples: unknown key; did you mean gradient.perturbation.samples or diagnostics.samples or compile.samples?",
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
        'a.yaml:4:1: "a\\nb": unknown key; known: fgspec, name, description, seed, data, architecture, losses, gradient, optimizer, training, mesh, checkpoint, diagnostics, compile, expect, extends, rule, ablation',
        'a.yaml:5:1: "": unknown key; known: fgspec, name, description, seed, data, architecture, losses, gradient, optimizer, training, mesh, checkpoint, diagnostics, compile, expect, extends, rule, ablation',
    ),
    "a key like the type beside it": mistake(
        "optimizer: {type: sgd, sgd: {}}\n",
        "a.yaml:4:24: optimizer.sgd: unknown key of sgd; known: type, learning_rate, weight_decay, schedule, factors, momentum, nesterov",
    ),
    "a number for a key": mistake(
        "optimizer: {type: sgd, 0: {}}\n",
        "a.yaml:4:24: The key '0' is an integer; expected a string: write a name, or quote the key",
    ),
    "a misspelled type": mistake(
        "optimizer: {type: sdg}\n",
        "a.yaml:4:19: optimizer.type: must be one of sgd, adam, adamw, lars; did you mean sgd? (got sdg)",
    ),
    "a type in capitals": mistake(
        "optimizer: {type: SGD}\n",
        "a.yaml:4:19: optimizer.type: must be one of sgd, adam, adamw, lars; did you mean sgd? (got SGD)",
    ),
    "a type that is a number": mistake(
        "optimizer: {type: 3}\n",
        "a.yaml:4:19: optimizer.type: must be one of sgd, adam, adamw, lars (got 3)",
    ),
    "an empty type": mistake(
        "optimizer: {type: }\n",
        "a.yaml:4:18: optimizer.type: must be one of sgd, adam, adamw, lars (got null)",
    ),
    "a list for a type": mistake(
        "optimizer: {type: [sgd]}\n",
        "a.yaml:4:19: optimizer.type: must be one of sgd, adam, adamw, lars (got [sgd])",
    ),
    "an unknown data set": mistake(
        "data: {source: {type: imagenet}}\n",
        "a.yaml:4:23: data.source.type: must be one of digits, mnist, cifar10, npz, synthetic (got imagenet)",
    ),
    "an unknown architecture": mistake(
        "architecture: {type: resnet}\n",
        "a.yaml:4:22: architecture.type: must be one of local_mixer, mlp, conv_net, resnet18, chain; did you mean resnet18? (got resnet)",
    ),
    "no type": mistake(
        "optimizer: {learning_rate: 0.1}\n",
        "a.yaml:4:12: optimizer: needs a type; one of sgd, adam, adamw, lars",
    ),
    "no type of a schedule": mistake(
        "optimizer: {type: sgd, schedule: {end_factor: 0.1}}\n",
        "a.yaml:4:34: optimizer.schedule: needs a type; one of constant, linear, staircase, warmup_cosine",
    ),
    "the type alone for a mapping": mistake(
        "optimizer: adam\n",
        "a.yaml:4:12: optimizer: must be a mapping of keys to values, such as {type: adam} (got adam)",
    ),
    "the type alone for a nested mapping": mistake(
        "optimizer: {type: sgd, schedule: linear}\n",
        "a.yaml:4:34: optimizer.schedule: must be a mapping of keys to values, such as {type: linear} (got linear)",
    ),
    "the type alone for a normalization": mistake(
        "architecture: {type: mlp, normalization: none}\n",
        "a.yaml:4:42: architecture.normalization: must be a mapping of keys to values, such as {type: none} (got none)",
    ),
    "a list for a mapping": mistake(
        "optimizer: [adam]\n",
        "a.yaml:4:12: optimizer: must be a mapping of keys to values (got [adam])",
    ),
    "an empty section": mistake(
        "optimizer:\n",
        "a.yaml:4:11: optimizer: must be a mapping of keys to values (got null)",
    ),
    "false to turn a section off": mistake(
        "checkpoint: false\n",
        "a.yaml:4:13: checkpoint: must be a mapping of keys to values (got false)",
    ),
    "a number for an interval": mistake(
        "checkpoint: {every: 5}\n",
        "a.yaml:4:21: checkpoint.every: must be a mapping of keys to values, such as {epochs: 1} (got 5)",
    ),
    "a misspelled enumeration": mistake(
        "gradient: {target: locl}\n",
        "a.yaml:4:20: gradient.target: must be one of global, local, above, sum; did you mean local? (got locl)",
    ),
    "an unknown enumeration": mistake(
        "architecture: {type: mlp, initialization: he}\n",
        "a.yaml:4:43: architecture.initialization: must be one of kaiming, lecun, normal, kaiming_uniform (got he)",
    ),
    "a short enumeration": mistake(
        "compile: {precision: bf16}\n",
        "a.yaml:4:22: compile.precision: must be one of float32, bfloat16; did you mean bfloat16? (got bf16)",
    ),
    "a misspelled word beside numbers": mistake(
        "compile: {steps_per_call: atuo}\n",
        "a.yaml:4:27: compile.steps_per_call: must be a whole number or auto; did you mean auto? (got atuo)",
    ),
    "a number out of range beside a word": mistake(
        "compile: {steps_per_call: 0}\n",
        "a.yaml:4:27: compile.steps_per_call: must be >= 1 or auto (got 0)",
    ),
    "a scalar for a list": mistake(
        "architecture: {type: mlp, hidden: 256}\n",
        "a.yaml:4:35: architecture.hidden: must be a list, such as [256] (got 256)",
    ),
    "a word for a list of words": mistake(
        "rule: lg-fg-a\nlosses: {local: {replicate: patch}}\n",
        "a.yaml:5:29: losses.local.replicate: must be a list, such as [patch] (got patch)",
    ),
    "a mapping for a list": mistake(
        "architecture: {type: mlp, hidden: {a: 3}}\n",
        "a.yaml:4:35: architecture.hidden: must be a list (got {a: 3})",
    ),
    "an empty list": mistake(
        "architecture: {type: mlp, hidden: []}\n",
        "a.yaml:4:35: architecture.hidden: must list at least 1 (got [])",
    ),
    "wrong items of a list": mistake(
        "architecture: {type: mlp, hidden: [1, 0.5, true, 0, [3]]}\n",
        "a.yaml:4:39: architecture.hidden[1]: must be a whole number (got 0.5)",
        "a.yaml:4:44: architecture.hidden[2]: must be a whole number (got true)",
        "a.yaml:4:50: architecture.hidden[3]: must be >= 1 (got 0)",
        "a.yaml:4:53: architecture.hidden[4]: must be a whole number (got [3])",
    ),
    "misspelled items of a list": mistake(
        "rule: lg-fg-a\nlosses: {local: {replicate: [patchs, channel]}}\n",
        "a.yaml:5:30: losses.local.replicate[0]: must be one of patch, group; did you mean patch? (got patchs)",
        "a.yaml:5:38: losses.local.replicate[1]: must be one of patch, group (got channel)",
    ),
    "a short list": mistake(
        "data: {source: {type: synthetic, image: [32]}}\n",
        "a.yaml:4:41: data.source.image: must list at least 3 (got [32])",
    ),
    "a long list": mistake(
        "data: {source: {type: synthetic, image: [32, 32, 3, 1]}}\n",
        "a.yaml:4:41: data.source.image: must list at most 3 (got [32, 32, 3, 1])",
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
        "expect: {metric: eval/error}\n",
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
        "a.yaml:1:1: version: unknown key; known: fgspec, name, description, seed, data, architecture, losses, gradient, optimizer, training, mesh, checkpoint, diagnostics, compile, expect, extends, rule, ablation",
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
