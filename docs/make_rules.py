"""Write docs/rules.md and its pictures: every rule, and targets by guesses, as fgspec explains it.

python docs/make_rules.py
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fgspec
from fgspec.explaining.explanation import Explanation
from fgspec.spec.guesses import GUESSES
from fgspec.spec.rules import RULES
from fgspec.spec.sample_sets import SAMPLE_SETS
from fgspec.spec.targets import TARGETS

DOCS = Path(__file__).parent

NETWORK = """
fgspec: 1
name: {name}
data: {{source: {{type: mnist}}, batch_size: 64, augment: none}}
architecture: {{type: local_mixer, blocks: 2, patches: 2, channels: 32, groups: 4}}
training: {{epochs: 1}}
"""

CHAIN = """
fgspec: 1
name: {name}
data: {{source: {{type: mnist}}, batch_size: 64, augment: none}}
architecture: {{type: mlp, hidden: [64, 64, 64]}}
losses: {{local: {{last: final}}, isolate: {isolate}}}
gradient:
  target: {target}
  estimator: {{type: forward}}
  perturbation: {{space: block_output, guess: {{type: {guess}}}, last_block: exact}}
training: {{epochs: 1}}
"""

SETS = """
fgspec: 1
name: {name}
data: {{source: {{type: mnist}}, batch_size: 64, augment: none}}
architecture: {{type: mlp, hidden: [64, 64]}}
gradient:
  target: global
  estimator: {{type: finite_difference}}
  perturbation: {{space: weight, samples: 4, guess: {{type: normal, set: {name}}}}}
training: {{epochs: 1}}
"""

HEAD = """# Learning rules: words, equations, pictures

<!-- Written by `python docs/make_rules.py`: change that, or the methods' own words. -->

Every rule on one small network, then every target with every guess of Fournier et al. (2023), and
every set of samples. All text, equations and pictures come from `fgspec.explain`, and the tests
evaluate the same equations on small networks: they give the gradient that the program computes. For
a spec of your own:

```sh
fgspec explain my_spec.yaml --picture rule.svg
```

## How to read the equations

- An index below a letter says of what it is: $z_l$ is the pre-activation of layer $l$, $\\ell_j$
  the loss after block $j$. Block $b$ is the one whose gradient is computed; the index end means
  the last one.
- Letters above count: $n$ examples, $p$ patches, $g$ groups, $k$ samples of noise. These specs
  draw one sample; with $K$ of them there is a factor $1/K$. Where both
  factors of a product have the same letter, they meet: $d^{np}\\,u$ multiplies every element of the
  array $u$ by the derivative of its own example and patch.
- $\\left(\\partial y/\\partial x\\right)^{\\!\\top} v$ is what a reverse pass does: it turns an
  error at $y$ into one at $x$.
- $\\mathbf 1[f'\\neq 0]$ is 1 where the activation has a slope, else 0: a unit that a rectifier
  switches off takes no noise.
- $\\hat g_W$ is what the optimizer is given for a weight or bias $W$. Heads and the classifier have
  weights $V$ and always take their exact gradient.

A loss with *copies* (Ren et al. 2022) has one value that is repeated for every patch and group.
Each copy only sees its own features change, so each has a derivative of its own. The copies that
an element can move are those that it *answers for*.
"""


def main() -> None:
    """Write the page and its pictures."""
    parts = [HEAD, "## The rules\n", "The network is a LocalMixer of two blocks on MNIST.\n"]
    for name, kind in dict[str, Any](RULES.kinds()).items():
        spec = f"{NETWORK.format(name=name)}rule: {name}\n"
        parts += entry(name, f"`{name}`: {kind.title}", kind.__doc__, fgspec.explain(spec))
    parts += ["## Targets and guesses\n", GRID]
    for target, guess in cells():
        isolate = "block" if target.inside else "none"
        spec = CHAIN.format(name=f"{target}-{guess}", target=target, guess=guess, isolate=isolate)
        title = f"Target `{target}`, guess `{guess}`"
        parts += entry(f"{target}_{guess}", title, "", fgspec.explain(spec))
    parts += ["## Sets of samples\n", SAMPLES]
    for name, kind in dict[str, Any](SAMPLE_SETS.kinds()).items():
        about = kind.__doc__.splitlines()[0]
        parts += [f"### `{name}`\n", f"{about}\n", f"{_equations(name)}\n"]
    (DOCS / "rules.md").write_text("\n".join(parts))


SAMPLES = """How $K$ directions of one update are made from $K$ draws $\\omega$. Weights are
perturbed, and what is estimated along a direction is a difference of losses; under `forward` it
is a derivative.
"""


def _equations(name: str) -> str:
    """A set of samples in words and equations, without the paragraph on losses."""
    found = replace(fgspec.explain(SETS.format(name=name)), losses=())
    return found.markdown().split("\n\n", 1)[1]


GRID = """The network is a perceptron of three blocks on MNIST. Outputs of blocks are estimated,
each example by itself, and each block pulls its estimate back to its weights. Drawn guesses take
the derivative times the guess; guesses made from the network take the projection on the guess.
"""


def cells() -> Iterator[tuple[Any, Any]]:
    """Every target with every guess of the paper: made from heads, or normal noise."""
    for target in ("global", "local", "above"):
        for guess in ("local", "ntk", "fixed_ntk", "normal"):
            yield TARGETS.kind(target)(), GUESSES.kind(guess)()


def entry(file: str, title: str, about: str | None, found: Explanation) -> Iterator[str]:
    """One rule."""
    picture = DOCS / "pictures" / f"{file}.svg"
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(found.picture)
    yield f"### {title}\n"
    if about:
        yield f"{about.splitlines()[0]}\n"
    yield f"![{found.name}: blocks, losses and what each layer learns from](pictures/{file}.svg)\n"
    # Formulas of losses are those of the reference; here they would stand at every rule.
    yield f"{replace(found, losses=()).markdown()}\n"


if __name__ == "__main__":
    main()
