"""The specs of a clumsy user: one value is wrong, and the line that says so."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, names, told

from fgspec.spec.architectures import ARCHITECTURES
from fgspec.spec.initializations import INITIALIZATIONS
from fgspec.spec.optimizers import OPTIMIZERS
from fgspec.spec.schedules import SCHEDULES
from fgspec.spec.sources import SOURCES
from fgspec.spec.targets import TARGETS

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
        "expect: {metric: test/error, value: 30%, tolerance: 0.1, source: x}\n",
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
        "a.yaml:4:39: '0,01' is two values here, because a comma separates values; expected a decimal point: write 0.01",
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
    "a misspelled type": mistake(
        "optimizer: {type: sdg}\n",
        f"a.yaml:4:19: optimizer.type: must be one of {names(OPTIMIZERS)}; did you mean sgd? (got sdg)",
    ),
    "a type in capitals": mistake(
        "optimizer: {type: SGD}\n",
        f"a.yaml:4:19: optimizer.type: must be one of {names(OPTIMIZERS)}; did you mean sgd? (got SGD)",
    ),
    "a type that is a number": mistake(
        "optimizer: {type: 3}\n",
        f"a.yaml:4:19: optimizer.type: must be one of {names(OPTIMIZERS)} (got 3)",
    ),
    "an empty type": mistake(
        "optimizer: {type: }\n",
        f"a.yaml:4:18: optimizer.type: must be one of {names(OPTIMIZERS)} (got null)",
    ),
    "a list for a type": mistake(
        "optimizer: {type: [sgd]}\n",
        f"a.yaml:4:19: optimizer.type: must be one of {names(OPTIMIZERS)} (got [sgd])",
    ),
    "an unknown data set": mistake(
        "data: {source: {type: lsun}}\n",
        f"a.yaml:4:23: data.source.type: must be one of {names(SOURCES)} (got lsun)",
    ),
    "an unknown architecture": mistake(
        "architecture: {type: resnet}\n",
        f"a.yaml:4:22: architecture.type: must be one of {names(ARCHITECTURES)}; did you mean resnet18? (got resnet)",
    ),
    "no type, and keys that the default has not": mistake(
        "optimizer: {learning_rate: 0.1, beta1: 0.5}\n",
        "a.yaml:4:12: optimizer: needs a type; learning_rate, beta1 are of adam, adamw",
    ),
    "no type of a schedule": mistake(
        "optimizer: {type: sgd, schedule: {end_factor: 0.1}}\n",
        "a.yaml:4:34: optimizer.schedule: needs a type; end_factor is of cosine, linear, one_cycle, warmup_cosine",
    ),
    "a name that is misspelled": mistake(
        "optimizer: addam\n",
        f"a.yaml:4:12: optimizer.type: must be one of {names(OPTIMIZERS)}; did you mean adam? (got addam)",
    ),
    "a nested name that is misspelled": mistake(
        "optimizer: {type: sgd, schedule: linera}\n",
        f"a.yaml:4:34: optimizer.schedule.type: must be one of {names(SCHEDULES)}; did you mean linear? (got linera)",
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
        f"a.yaml:4:20: gradient.target: must be one of {names(TARGETS)}; did you mean local? (got locl)",
    ),
    "an unknown enumeration": mistake(
        "architecture: {type: mlp, initialization: he}\n",
        f"a.yaml:4:43: architecture.initialization: must be one of {names(INITIALIZATIONS)}; did you mean kaiming? (got he)",
    ),
    "a short enumeration": mistake(
        "compile: {precision: bf16}\n",
        "a.yaml:4:22: compile.precision: must be one of float32, tf32, bfloat16; did you mean bfloat16? (got bf16)",
    ),
    "a misspelled word beside numbers": mistake(
        "compile: {steps_per_call: atuo}\n",
        "a.yaml:4:27: compile.steps_per_call: must be a whole number or auto; did you mean auto? (got atuo)",
    ),
    "a number out of range beside a word": mistake(
        "compile: {steps_per_call: 0}\n",
        "a.yaml:4:27: compile.steps_per_call: must be >= 1 or auto (got 0)",
    ),
    "a mapping beside words and numbers": mistake(
        "compile: {rematerialize: {}}\n",
        "a.yaml:4:26: compile.rematerialize: must be a whole number or one of auto, never (got {})",
    ),
    "a mapping beside a list": mistake(
        "architecture: {type: local_mixer, blocks: 1, patches: 1, channels: 8, groups: 1,\n"
        "  normalization: {readout: {}}}\n",
        "a.yaml:5:28: architecture.normalization.readout: must be true or false or a list (got {})",
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
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
