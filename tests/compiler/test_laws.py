"""The laws that every estimator must keep, whatever its noise."""

import jax
import jax.numpy as jnp
import networks
import numpy as np
import pytest

from fgspec.show.bias_notes import notes

TARGET = {"fg-w": "bp", "fg-a": "bp", "lg-fg-w": "lg-bp", "lg-fg-a": "lg-bp"}
"""Each estimator's target: the rule whose exact gradient it estimates."""

BATCH = networks.batch_of()

NORMS = {
    "none": "{type: none}",
    "local": "{type: local_layer_norm, placement: [begin_block, before_linear, after_linear]}",
    "layer": "{type: layer_norm}",
}


def _over_basis(rule, norm, replicate, per_example, options=""):
    """Sum of the estimates over a full orthonormal basis of every segment's perturbations."""
    more = f"losses: {{local: {{replicate: {replicate}}}}}" if replicate else ""

    def made_with(samples):
        how = f"samples: {samples}{options}"
        return networks.program(rule, norm=norm, more=more, perturbation=how)

    return networks.over_basis(made_with, per_example)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("rule", TARGET)
def test_full_basis_gives_exact_gradient(rule, norm):
    replicate = "[patch, group]" if rule.startswith("lg") else ""
    summed = _over_basis(rule, NORMS[norm], replicate, per_example=rule.endswith("a"))
    made = networks.program(TARGET[rule], norm=NORMS[norm])
    exact, _ = made.gradient(networks.state_of(made), networks.batch_of())
    assert networks.distance(summed, exact["blocks"]) < 5e-5


@pytest.mark.parametrize("rule", ["fg-w", "lg-fg-w"])
def test_full_basis_of_every_examples_own_weights_gives_the_exact_gradient(rule):
    replicate = "[patch, group]" if rule.startswith("lg") else ""
    own = ", sharing: example"
    summed = _over_basis(rule, NORMS["layer"], replicate, per_example=True, options=own)
    made = networks.program(TARGET[rule], norm=NORMS["layer"])
    exact, _ = made.gradient(networks.state_of(made), networks.batch_of())
    assert networks.distance(summed, exact["blocks"]) < 5e-5


def test_noise_of_every_examples_own_weights_is_averaged():
    """The variance falls with the batch; noise that the batch shares leaves most of it."""
    copies = jax.tree.map(lambda part: jnp.tile(part[:1], (8, *[1] * (part.ndim - 1))), BATCH)
    variances = {}
    for sharing in ("batch", "example"):
        perturbation = f"sharing: {sharing}"
        made = networks.program("fg-w", norm=NORMS["none"], batch=8, perturbation=perturbation)
        state, rows = networks.state_of(made), []
        for step in range(200):
            grads, _ = made.gradient(state._replace(step=jnp.asarray(step, jnp.int32)), copies)
            rows.append(jax.flatten_util.ravel_pytree(grads["blocks"])[0])
        variances[sharing] = np.var(np.stack(rows), 0, ddof=1).sum()
    assert 6.5 < variances["batch"] / variances["example"] < 9.5


@pytest.mark.parametrize("replicate", ["[]", "[patch]", "[group]", "[patch, group]"])
@pytest.mark.parametrize("rule", ["lg-fg-w", "lg-fg-a"])
def test_scale_does_not_depend_on_replication(rule, replicate):
    summed = _over_basis(rule, NORMS["local"], replicate, per_example=rule.endswith("a"))
    made = networks.program("lg-bp", norm=NORMS["local"])
    exact, _ = made.gradient(networks.state_of(made), networks.batch_of())
    assert networks.distance(summed, exact["blocks"]) < 5e-5


def test_full_basis_under_batch_norm_spans_the_batch():
    summed = _over_basis("lg-fg-a", "{type: batch_norm}", "[patch, group]", per_example=False)
    made = networks.program("lg-bp", norm="{type: batch_norm}")
    exact, _ = made.gradient(networks.state_of(made), networks.batch_of())
    assert networks.distance(summed, exact["blocks"]) < 5e-5


def _z_scores(rule, perturbation, exact, norm=NORMS["local"]):
    """`networks.deviations` of a rule of 32 samples."""
    made = networks.program(rule, norm=norm, perturbation=f"samples: 32, {perturbation}")
    return networks.deviations(made, exact)


@pytest.mark.parametrize("guess", networks.drawn_guesses())
@pytest.mark.parametrize("sharing", ["example", "batch"])
def test_lg_fg_a_is_unbiased(guess, sharing):
    made = networks.program("lg-bp", norm=NORMS["local"])
    exact, _ = made.gradient(networks.state_of(made), networks.batch_of())
    z = _z_scores("lg-fg-a", f"guess: {{type: {guess}}}, sharing: {sharing}", exact["blocks"])
    assert z.shape[1] > 150
    assert 0.85 < z.std() < 1.18


CELLS = {
    "fg-w": "space: weight",
    "fg-a": "space: activation",
    "a scalar a tensor": "space: weight, projection: {grouping: tensor}",
    "a scalar a layer and example": "space: activation, projection: {grouping: tensor}",
    "a scalar a block and example": "space: block_output, projection: {grouping: block}",
    "local control variate": "space: block_output, projection: {grouping: block}, "
    "control_variate: local",
    "orthogonal": "space: weight, guess: {type: normal, set: orthogonal}",
    "guided by a random average": "space: weight, guess: {set: guided}",
    "low rank": "space: weight, guess: {type: low_rank, rank: 2}",
}


@pytest.mark.parametrize("cell", CELLS)
def test_global_targets_are_estimated_without_bias(cell):
    heads = "losses: {local: {every: 1}}\n" if "control" in cell else ""
    how = f"perturbation: {{samples: 8, {CELLS[cell]}}}"
    gradient = f"gradient: {{target: global, estimator: {{type: forward}}, {how}}}"
    made = networks.program("", more=heads + gradient)
    state = networks.state_of(made)
    exact = networks.program("bp")
    reference = networks.state_of(exact)._replace(params=state.params)
    target = exact.gradient(reference, networks.batch_of())[0]["blocks"]
    z = networks.deviations(made, target)
    assert z.shape[1] > 100
    assert 0.85 < z.std() < 1.18


def test_lg_fg_w_is_unbiased_where_groups_are_coupled():
    made = networks.program("lg-bp", norm=NORMS["local"])
    exact, _ = made.gradient(networks.state_of(made), networks.batch_of())
    z = _z_scores("lg-fg-w", "credit: influenced", exact["blocks"])
    assert z.shape[1] > 500
    assert 0.85 < z.std() < 1.18


@pytest.mark.parametrize(("norm", "biased"), [("none", False), ("local", True)])
def test_papers_weight_credit_is_biased_where_a_normalization_couples_groups(norm, biased):
    summed = _over_basis("lg-fg-w", NORMS[norm], "[patch, group]", False, ", credit: paper")
    made = networks.program("lg-bp", norm=NORMS[norm])
    exact, _ = made.gradient(networks.state_of(made), networks.batch_of())
    gap = networks.distance(summed, exact["blocks"])
    assert (gap > 0.01) == biased
    assert biased or gap < 5e-5
    said = notes(networks.program("lg-fg-w", norm=NORMS[norm], perturbation="credit: paper").plan)
    assert bool(said) == biased


@pytest.mark.parametrize("rule", TARGET)
def test_samples_are_averaged(rule):
    made = networks.program(rule, perturbation="samples: 3")
    state, batch = networks.state_of(made), networks.batch_of()
    single = networks.program(rule)
    drawn = {
        name: jax.random.normal(jax.random.key(i), (3, *element.shape))
        for part in networks.elements(made)
        for i, (name, element) in enumerate(part.items())
    }
    each = [
        single.gradient(state, batch, {n: u[k : k + 1] for n, u in drawn.items()})[0]
        for k in range(3)
    ]
    mean = jax.tree.map(lambda *g: sum(g) / 3, *each)
    together, _ = made.gradient(state, batch, drawn)
    assert networks.distance(together, mean) < 1e-5


@pytest.mark.parametrize("rule", ["lg-fg-w", "lg-fg-a"])
@pytest.mark.parametrize("replicate", ["[]", "[patch]", "[group]", "[patch, group]"])
def test_fused_losses_equal_naive_ones(rule, replicate):
    more = f"losses: {{local: {{replicate: {replicate}}}}}"
    fused = networks.program(rule, more=more)
    naive = networks.program(rule, more=more + "\ncompile: {losses: naive}")
    state, batch = networks.state_of(fused), networks.batch_of()
    assert (
        networks.distance(fused.gradient(state, batch)[0], naive.gradient(state, batch)[0]) < 1e-5
    )


def test_silent_units_get_no_credit():
    made = networks.program("lg-fg-a", norm=networks.NO_NORM)
    state = networks.state_of(made)
    bias = state.params["blocks"]["block1"]["channel"]["b"]
    state.params["blocks"]["block1"]["channel"]["b"] = jnp.full_like(bias, -100.0)
    grads, _ = made.gradient(state, networks.batch_of())
    assert networks.largest(grads["blocks"]["block1"]["channel"]) == 0.0
    assert networks.largest(grads["blocks"]["block0"]["channel"]) > 0.0


@pytest.mark.parametrize("every", [1, 2])
def test_local_losses_after_every_so_many_blocks(every):
    more = f"losses: {{local: {{every: {every}}}}}"
    made = networks.program("lg-fg-a", more=more)
    assert [len(segment.blocks) for segment in made.plan.segments] == [every] * (2 // every)
    grads, metrics = made.gradient(networks.state_of(made), networks.batch_of())
    assert len([name for name in metrics if name.startswith("local_loss/")]) == 2 // every
    assert networks.largest(grads["blocks"]["block0"]) > 0


@pytest.mark.parametrize("rule", ["bp", "l-bp", "lg-bp", *TARGET])
def test_mlp_under_every_rule(rule):
    made = networks.program(rule, architecture="{type: mlp, hidden: [12, 6]}")
    grads, _ = made.gradient(networks.state_of(made), networks.batch_of())
    assert networks.largest(grads["blocks"]["block0"]) > 0
    assert ("heads" in grads) == rule.startswith("l")
