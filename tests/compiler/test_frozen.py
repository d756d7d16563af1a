"""What is frozen keeps every bit, and all else learns as if that were the data it is given."""

import jax
import networks
import numpy as np
import pytest

from compiler.named_arrays.paths import flatten
from compiler.update.state import by_name
from fgspec.errors import UserError

BLOCKS = """
  type: local_mixer
  blocks: 4
  patches: 2
  channels: 8
  groups: 2
  normalization: {type: none}
"""


def _made(rule, freeze, optimizer="{type: sgd, momentum: 0.9}", more=""):
    text = f"freeze: [{freeze}]\noptimizer: {optimizer}\n{more}"
    return networks.program(rule, architecture=BLOCKS, more=text)


def _trained(made, steps=3):
    """Parameters by path before and after some updates, and the state after them."""
    state = made.init(0)
    before = jax.device_get(flatten(by_name(made.plan, state).params))
    for step in range(steps):
        state, _ = made.update(state, networks.batch_of(seed=step))
    return before, jax.device_get(flatten(by_name(made.plan, state).params)), state


def _same(a, b):
    return {path for path in a if a[path].tobytes() == b[path].tobytes()}


@pytest.mark.parametrize(
    "optimizer",
    [
        "{type: sgd, weight_decay: 0.1}",
        "{type: adamw, weight_decay: 0.1}",
        "{type: lars, weight_decay: 0.1}",
    ],
)
def test_what_is_frozen_keeps_its_bits_and_gathers_no_moment(optimizer):
    made = _made("lg-bp", "blocks.1, heads.block2, classifier.w", optimizer)
    before, after, state = _trained(made)
    frozen = {p for p in before if p.startswith(("blocks/block1/", "heads/block2/"))}
    frozen |= {"classifier/w"}
    assert made.plan.frozen == frozen
    assert _same(before, after) == frozen
    moments = jax.tree_util.tree_leaves_with_path(jax.device_get(state.optimizer))
    named = ((jax.tree_util.keystr(path), leaf) for path, leaf in moments)
    kept = {name: leaf for name, leaf in named if "['blocks']['block1']" in name}
    assert kept
    assert all(not leaf.any() for leaf in kept.values())


def test_a_block_in_a_scanned_stack_is_frozen_as_in_an_unrolled_net():
    freeze = "blocks.1, heads.1"
    scanned = _made("lg-bp", freeze, more="compile: {blocks: scanned}")
    unrolled = _made("lg-bp", freeze, more="compile: {blocks: unrolled}")
    assert [stack.name for stack in scanned.plan.stacks] == ["block2-block3"]
    before, found, _ = _trained(scanned)
    _, wanted, _ = _trained(unrolled)
    assert scanned.plan.frozen == unrolled.plan.frozen <= _same(before, found)
    for path, value in wanted.items():
        np.testing.assert_allclose(found[path], value, rtol=1e-4, atol=1e-6, err_msg=path)


def test_equal_blocks_that_are_all_frozen_stay_one_stack():
    made = _made("lg-bp", "blocks, heads", more="compile: {blocks: scanned}")
    assert made.plan.stacks
    before, after, _ = _trained(made)
    assert _same(before, after) == {path for path in before if not path.startswith("classifier")}


def test_blocks_in_front_of_a_frozen_one_learn_as_if_it_were_not():
    """Under a greedy rule nothing comes back from behind."""
    freeze = "blocks.2, blocks.3, heads.2, classifier"
    _, found, _ = _trained(_made("lg-bp", freeze))
    _, wanted, _ = _trained(
        networks.program(
            "lg-bp",
            architecture=BLOCKS,
            more="\n".join(("optimizer: {type: sgd, momentum: 0.9}", "")),
        )
    )
    front = [path for path in wanted if path.split("/")[1] in ("block0", "block1")]
    assert len(front) > 4
    for path in front:
        np.testing.assert_array_equal(found[path], wanted[path], err_msg=path)


@pytest.mark.parametrize(
    ("freeze", "said"),
    [
        ("blcks", r"freeze: no parameter is called blcks\.\.\.; did you mean blocks\?"),
        ("blocks.blok2", r"did you mean blocks\.block2\?"),
        ("blocks.4", "no parameter is called blocks.4"),
        ("blocks.1.chanel", r"did you mean blocks\.block1\.channel\?"),
        ("blocks, heads, classifier", "names everything, so that nothing learns"),
    ],
)
def test_names_that_are_none_are_refused(freeze, said):
    with pytest.raises(UserError, match=said):
        _made("lg-bp", freeze)
