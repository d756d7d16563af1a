"""The specs of a clumsy user: bases, `--set`, whole files, and many mistakes at once."""

# ruff: noqa: E501  (each message stands whole on its line)

import pytest
from language.clumsy import mistake, told

MISTAKES = {
    "an empty file": mistake(
        "",
        "a.yaml:1:1: The document is empty; expected at least one value: write it",
        head="",
    ),
    "a list": mistake(
        "- a\n",
        "a.yaml:1:1: The document is a list; expected a mapping: write 'key: value' lines",
        head="",
    ),
    "a sentence": mistake(
        "train a network\n",
        "a.yaml:1:1: The document is a string; expected a mapping: write 'key: value' lines",
        head="",
    ),
    "a key twice": mistake(
        "seed: 1\nseed: 2\n",
        "a.yaml:5:1: The key 'seed' is here a second time, first at a.yaml:4:1; expected each key once: remove one of them",
    ),
    "a wrong indentation": mistake(
        "seed: 1\n name: a\n",
        "a.yaml:5:6: 'name: a' has a ':' where no key can stand; expected one 'key: value' a line: correct the indentation, or quote a value that contains ': '",
    ),
    "an open bracket": mistake(
        "optimizer: {type: sgd\n",
        "a.yaml:4:12: '{type: sgd' is not closed before the text ends; expected its closing quote or bracket: add it",
    ),
    "a missing base": mistake(
        "extends: c.yaml\n",
        "a.yaml:4:10: extends: no such file (got c.yaml)",
    ),
    "an absolute base": mistake(
        "extends: /etc/passwd\n",
        "a.yaml:4:10: extends: must be the path of a spec, relative to this one (got /etc/passwd)",
    ),
    "a base outside specs": mistake(
        "extends: ../../x.yaml\n",
        "a.yaml:4:10: extends: is outside of specs/, the folder of these specs; move the base inside (got ../../x.yaml)",
    ),
    "a base that is the spec itself": mistake(
        "extends: a.yaml\n",
        "a.yaml:4:10: extends: is circular: a.yaml -> a.yaml (got a.yaml)",
    ),
    "a base that comes back": mistake(
        "extends: b/c.yaml\n",
        "b/c.yaml:1:10: extends: is circular: a.yaml -> c.yaml -> a.yaml (got ../a.yaml)",
        files={"b/c.yaml": "extends: ../a.yaml\n"},
    ),
    "a base that is a folder": mistake(
        "extends: .\n",
        "a.yaml:4:10: extends: no such file (got .)",
    ),
    "a base that is no text": mistake(
        "extends: [b.yaml]\n",
        "a.yaml:4:10: extends: must be the path of a spec, relative to this one (got [b.yaml])",
    ),
    "an empty base": mistake(
        "extends:\n",
        "a.yaml:4:9: extends: must be the path of a spec, relative to this one (got null)",
    ),
    "a base in the home folder": mistake(
        "extends: ~/b.yaml\n",
        'a.yaml:4:10: extends: no such file (got "~/b.yaml")',
    ),
    "a base whose path cannot be": mistake(
        'extends: "a\\0b"\n',
        'a.yaml:4:10: extends: is not the path of a file (got "a\\u0000b")',
    ),
    "a base whose name is too long": mistake(
        "extends: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
        "a.yaml:4:10: extends: is not the path of a file (got aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...)",
    ),
    "a misspelled extends": mistake(
        "extend: b.yaml\n",
        "a.yaml:4:1: extend: unknown key; did you mean extends?",
    ),
    "a base that is a list": mistake(
        "extends: b.yaml\n",
        "b.yaml:1:1: The document is a list; expected a mapping: write 'key: value' lines",
        files={"b.yaml": "- a\n"},
    ),
    "mistakes in a base": mistake(
        "extends: b.yaml\n",
        "b.yaml:1:7: seed: must be >= 0 (got -1)",
        "b.yaml:2:40: optimizer.learning_rate: must be > 0 (got 0)",
        files={"b.yaml": "seed: -1\noptimizer: {type: adam, learning_rate: 0}\n"},
    ),
    "a misspelled key in a base": mistake(
        "extends: b.yaml\n",
        "b.yaml:1:1: sede: unknown key; did you mean seed?",
        files={"b.yaml": "sede: 1\n"},
    ),
    "a base with other channels": mistake(
        "extends: b.yaml\narchitecture: {groups: 7}\n",
        "a.yaml:5:24: architecture.groups: must divide channels; nearest: 4, 5, 10 (got 7; architecture.channels is 20 at b.yaml:1:45)",
        files={"b.yaml": "architecture: {type: local_mixer, channels: 20}\n"},
    ),
    "a rule against its base": mistake(
        "extends: b.yaml\nrule: bp\n",
        "b.yaml:1:26: gradient.perturbation: rule bp at a.yaml:5:1 never reads it; remove one of the two",
        files={"b.yaml": "gradient: {perturbation: {samples: 2}}\n"},
    ),
    "fields against the rule of a base": mistake(
        "extends: b.yaml\nlosses: {local: {}}\n",
        "a.yaml:5:17: losses.local: rule bp at b.yaml:1:1 never reads it; remove one of the two",
        files={"b.yaml": "rule: bp\n"},
    ),
    "a setting without a value": mistake(
        "",
        "--set: must be path=value, such as optimizer.learning_rate=0.1 (got optimizer.learning_rate)",
        sets=["optimizer.learning_rate"],
    ),
    "a setting without a path": mistake(
        "",
        '--set: must be path=value, such as optimizer.learning_rate=0.1 (got "=3")',
        sets=["=3"],
    ),
    "a setting with a hole": mistake(
        "",
        '--set: must be path=value, such as optimizer.learning_rate=0.1 (got "optimizer..learning_rate=3")',
        sets=["optimizer..learning_rate=3"],
    ),
    "a setting with a colon": mistake(
        "",
        '--set: must be path=value, such as optimizer.learning_rate=0.1 (got "seed: 3")',
        sets=["seed: 3"],
    ),
    "a setting far too deep": mistake(
        "",
        '--set: must be path=value, such as optimizer.learning_rate=0.1 (got "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a....)',
        sets=[
            "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=3"
        ],
    ),
    "a setting of a base": mistake(
        "",
        "--set: extends: cannot be set on the command line; write it in the spec",
        sets=["extends=b.yaml"],
    ),
    "a setting of an unknown path": mistake(
        "",
        "--set: a: unknown key; known: fgspec, name, description, seed, data, architecture, losses, gradient, phases, optimizer, start_from, freeze, training, mesh, checkpoint, diagnostics, compile, expect, extends, rule, ablation",
        sets=["a.b.c=3"],
    ),
    "a setting of a misspelled path": mistake(
        "optimizer: {type: sgd}\n",
        "--set: optimizer.learningrate: unknown key of sgd; did you mean learning_rate?",
        sets=["optimizer.learningrate=3"],
    ),
    "a setting with a bad value": mistake(
        "",
        "--set: seed: must be >= 0 (got -1)",
        sets=["seed=-1"],
    ),
    "a setting that is no YAML": mistake(
        "",
        "--set: data: '{batch_size: 3' is not closed before the text ends; expected its closing quote or bracket: add it",
        sets=["data={batch_size: 3"],
    ),
    "a setting in octal": mistake(
        "",
        "--set: seed: '01' starts with a zero, which some programs read as octal; expected an integer without it: write 1, or quote it if it is text",
        sets=["seed=01"],
    ),
    "a setting below a scalar": mistake(
        "optimizer: {type: sgd, learning_rate: 0.1}\n",
        "--set: optimizer.learning_rate: must be a number (got {value: 3})",
        sets=["optimizer.learning_rate.value=3"],
    ),
    "a setting of an item": mistake(
        "architecture: {type: mlp, hidden: [3]}\n",
        "--set: architecture.hidden: is a list; its only item is 0 (got 1)",
        sets=["architecture.hidden[1]=7"],
    ),
    "a setting of an item by its number": mistake(
        "architecture: {type: mlp, hidden: [3]}\n",
        "--set: architecture.hidden: is a list; its only item is 0 (got 3)",
        sets=["architecture.hidden.3=7"],
    ),
    "a setting of a whole section": mistake(
        "",
        "--set: training: must be a mapping of keys to values (got null)",
        sets=["training=null"],
    ),
    "a setting without the type": mistake(
        "",
        "--set: optimizer: needs a type; beta1 is of adam, adamw",
        sets=["optimizer.beta1=0.5"],
    ),
    "a setting of a rule that is not there": mistake(
        "",
        "--set: rule: no such rule; did you mean lg-fg-w? (got lg-fgg)",
        sets=["rule=lg-fgg"],
    ),
    "a setting of a rule against the file": mistake(
        "losses: {isolate: block}\n",
        "a.yaml:4:19: losses.isolate: rule bp by --set sets it to none; remove one of the two (got block)",
        sets=["rule=bp"],
    ),
    "a setting against the file": mistake(
        "architecture:\n  type: local_mixer\n  groups: 16\n",
        "a.yaml:6:11: architecture.groups: must divide channels; nearest: 8, 12, 24 (got 16; architecture.channels is 24 by --set)",
        sets=["architecture.channels=24"],
    ),
    "a setting against a setting": mistake(
        "",
        "--set: architecture.groups: must divide channels; nearest: 3, 4, 6 (got 5; architecture.channels is 24 by --set)",
        sets=["architecture.type=local_mixer", "architecture.channels=24", "architecture.groups=5"],
    ),
    "a name that reads as a number": mistake(
        "",
        "--set: name: must be text; put it in quotes (got 1000.0)",
        sets=["name=1e3"],
    ),
    "many at once": mistake(
        "optimizer:\n  type: sgd\n  learning_rate: -1\n  nesterov: 3\ndata: {batch_size: 0}\ncheckpoint: {every: {}}\narchitecture: {type: local_mixer, groups: 7}\n",
        "a.yaml:6:18: optimizer.learning_rate: must be > 0 (got -1)",
        "a.yaml:7:13: optimizer.nesterov: must be true or false (got 3)",
        "a.yaml:8:20: data.batch_size: must be >= 1 (got 0)",
        "a.yaml:9:21: checkpoint.every: give either epochs or steps, such as {epochs: 1} (got {})",
        "a.yaml:10:43: architecture.groups: must divide channels; nearest: 2, 4, 8 (got 7; architecture.channels is 512 by default)",
        "--set: seed: must be >= 0 (got -1)",
        sets=["seed=-1"],
    ),
    "a contradiction beside a wrong type": mistake(
        "architecture:\n  type: local_mixer\n  channels: 128\n  groups: 7\noptimizer: {type: sgd, learning_rate: fast}\n",
        "a.yaml:7:11: architecture.groups: must divide channels; nearest: 2, 4, 8 (got 7; architecture.channels is 128 at a.yaml:6:13)",
        "a.yaml:8:39: optimizer.learning_rate: must be a number (got fast)",
    ),
    "a contradiction beside a misspelled section": mistake(
        "losess: {local: {}}\ngradient: {target: local}\narchitecture: {type: local_mixer, groups: 7}\n",
        "a.yaml:4:1: losess: unknown key; did you mean losses?",
        "a.yaml:6:43: architecture.groups: must divide channels; nearest: 2, 4, 8 (got 7; architecture.channels is 512 by default)",
    ),
    "many in two files": mistake(
        "extends: b.yaml\nseed: -2\nmesh: {dat: 1}\n",
        "a.yaml:5:7: seed: must be >= 0 (got -2)",
        "a.yaml:6:8: mesh.dat: unknown key; did you mean data?",
        "b.yaml:2:20: data.batch_size: must be >= 1 (got 0)",
        "b.yaml:3:19: losses.isolate: needs a local loss at the end of each block; add losses.local: {every: 1} (got block)",
        files={"b.yaml": "seed: -1\ndata: {batch_size: 0}\nlosses: {isolate: block}\n"},
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_every_line_is_the_one_expected(name, tmp_path, monkeypatch):
    assert told(MISTAKES[name], tmp_path, monkeypatch) == MISTAKES[name].lines
