"""The spec that `fgspec init` writes; `specs/quickstart.yaml` is the same."""

import re
from typing import cast

from fgspec.problems.problems import SpecError, flow, nearest
from fgspec.spec.rules import RULES, Rule

_QUICKSTART = """\
# LocalMixer on the 8x8 digits that come with scikit-learn, trained by {title}.
# One CPU, under a minute.  fgspec train {file}
fgspec: 1
name: {name}
rule: {rule}
seed: 0
data:
  source: {{type: digits}}
  batch_size: 128
architecture:
  type: local_mixer
  blocks: 2
  patches: 2        # per side
  channels: 128
  groups: 16
  normalization: {{epsilon: 0.01}}     # blank patches have no variance
optimizer:
  type: sgd
  learning_rate: 0.05
  momentum: 0.9
  schedule: {{type: linear}}
training:
  epochs: 120
  evaluate_every: {{epochs: 20}}
  log_every: {{epochs: 5}}
checkpoint:
  every: {{epochs: 20}}
"""


def quickstart(rule: str, stem: str, file: str = "") -> str:
    """The text of a spec to start from.

    Args:
        rule: a learning rule.
        stem: of the file's name; names the experiment.
        file: named in the header's command.

    Raises:
        SpecError: there is no such rule.
    """
    if rule not in RULES.names():
        raise SpecError([f"--rule: no such rule; {nearest(rule, RULES.names())} (got {rule})"])
    name = re.sub(r"[^A-Za-z0-9._-]", "-", stem).lstrip("._-") or "experiment"
    title = cast(type[Rule], RULES.kind(rule)).title
    return _QUICKSTART.format(rule=rule, name=flow(name), title=title, file=file or f"{stem}.yaml")
