"""A digest of an output covers what the output depends on, and nothing else."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from compiler.equivalence.digest import digests
from compiler.named_arrays.random_streams import address, stream_code

X = jax.ShapeDtypeStruct((3,), jnp.float32)


def of(function, *arguments):
    """Digests of a function of `x` (or of `x`, `y`), by output."""
    names = ("x", "y")[: len(arguments) or 1]
    return {k: v.digest for k, v in digests(function, arguments or (X,), names).items()}


def test_names_order_dead_code_and_inner_functions_do_not_count():
    def plain(x):
        return {"a": jnp.sin(x) * 2, "b": x + 1}

    def other(z):
        later = z + 1
        _ = jnp.exp(z).sum()
        inner = jax.jit(lambda v: jax.checkpoint(jnp.sin)(v) * 2)
        return {"b": lax.stop_gradient(later) + jnp.zeros(3), "a": inner(z)}

    assert of(plain) == of(other)


@pytest.mark.parametrize(
    "other",
    [
        lambda x: {"a": jnp.sin(x) * 3, "b": x + 1},
        lambda x: {"a": jnp.cos(x) * 2, "b": x + 1},
        lambda x: {"a": -(jnp.sin(x) * 2), "b": x + 1},
        lambda x: {"a": jnp.sin(x + 1) * 2, "b": x + 1},
        lambda x: {"a": jnp.sin(x[::-1]) * 2, "b": x + 1},
    ],
)
def test_what_an_output_depends_on_counts_for_it_alone(other):
    plain = of(lambda x: {"a": jnp.sin(x) * 2, "b": x + 1})
    assert plain["a"] != of(other)["a"]
    assert plain["b"] == of(other)["b"]


def _reduced(combine):
    return lambda x: lax.reduce(x, jnp.float32(1), combine, (0,))


def test_parameters_of_operations_count_and_programs_among_them():
    square = jax.ShapeDtypeStruct((3, 3), jnp.float32)
    assert of(lambda x: x.sum(0), square) != of(lambda x: x.sum(1), square)
    plain = _reduced(lambda a, b: a * 2 + b)
    assert of(plain) == of(_reduced(lambda b, a: b * 2 + a))
    assert of(plain) != of(_reduced(lambda a, b: a * 3 + b))
    assert of(plain) != of(_reduced(lambda a, b: b * 2 + a))


def test_inputs_count_by_name_and_shape():
    assert of(lambda x, y: x * 2, X, X) != of(lambda x, y: y * 2, X, X)
    assert of(lambda x: x * 2) != of(lambda x: x * 2, jax.ShapeDtypeStruct((4,), jnp.float32))


def _scanned(step, length=5):
    """Carries a and b that begin alike, c that only b reads, and what is stacked of a."""

    def run(x):
        def body(carry, at):
            carry = step(*carry, at)
            return carry, carry[0]

        (a, b, c), stacked = lax.scan(body, (x, x, x + 1), jnp.arange(length, dtype=jnp.float32))
        return {"a": a, "b": b, "c": c, "stacked": stacked}

    return of(run)


def test_an_output_of_a_scan_depends_on_the_carries_that_it_reads():
    plain = _scanned(lambda a, b, c, at: (a * at, b + c, c * 2))
    other_a = _scanned(lambda a, b, c, at: (a * at * 3, b + c, c * 2))
    other_c = _scanned(lambda a, b, c, at: (a * at, b + c, c * 3))
    assert {k for k in plain if plain[k] != other_a[k]} == {"a", "stacked"}
    assert {k for k in plain if plain[k] != other_c[k]} == {"b", "c"}
    assert not set(plain.values()) & set(_scanned(lambda a, b, c, at: (a, b, c), 6).values())


def test_a_long_chain_of_carries_is_followed_to_its_end():
    def chained(last):
        def body(carry, _):
            return (*carry[1:], carry[-1] * last), None

        return lambda x: lax.scan(body, (x,) * 6, None, length=9)[0][0]

    assert of(chained(2.0)) != of(chained(3.0))
    assert of(chained(2.0)) == of(chained(2.0))


def test_carries_that_begin_alike_are_told_apart():
    def crossed(first, second):
        def body(carry, _):
            a, b = carry
            return (jnp.sin(a), jnp.cos(b)), (a, b)[first] - (a, b)[second]

        return lambda x: lax.scan(body, (x, x), None, length=3)[1]

    assert of(crossed(0, 1)) != of(crossed(1, 0))


def test_a_dead_carry_does_not_count():
    def alive(x):
        return lax.scan(lambda a, _: (jnp.sin(a), None), x, None, length=3)[0]

    def beside(x):
        def body(carry, _):
            return (carry[0] * 2, jnp.sin(carry[1])), None

        return lax.scan(body, (x, x), None, length=3)[0][1]

    assert of(alive) == of(beside)


def test_loops_and_branches_without_a_length():
    def run(bound, factor, other):
        def go(x):
            turned = lax.while_loop(
                lambda c: c[0].sum() < bound, lambda c: (c[0] * factor, c[1] + 1), (x, x)
            )
            return {
                "first": turned[0],
                "second": turned[1],
                "branch": lax.cond(x.sum() > 0, jnp.sin, other, x),
            }

        return of(go)

    plain, names = run(3.0, 2.0, jnp.cos), {"first", "second", "branch"}
    changed = [run(4.0, 2.0, jnp.cos), run(3.0, 5.0, jnp.cos), run(3.0, 2.0, jnp.tan)]
    found = [{name for name in names if plain[name] != own[name]} for own in changed]
    assert found == [{"first", "second"}, {"first", "second"}, {"branch"}]


def _drawn(draw, after=lambda x, u: x * u, stream="one"):
    def run(state, x):
        u = draw(address(state["key"], stream, state["step"]))
        return after(x, u)

    state = {
        "key": jax.ShapeDtypeStruct((2,), jnp.uint32),
        "step": jax.ShapeDtypeStruct((), jnp.int32),
    }
    return digests(run, (state, X), ("state", "x"))[""]


def test_random_arrays_are_told_from_what_is_made_with_them():
    normal = _drawn(lambda key: jax.random.normal(key, (3,)))
    uniform = _drawn(lambda key: 2 * jax.random.uniform(key, (3,)))
    scaled = _drawn(lambda key: jax.random.normal(key, (3,)), lambda x, u: x * u * 2)
    elsewhere = _drawn(lambda key: jax.random.normal(key, (3,)), stream="two")
    assert normal.digest != uniform.digest != scaled.digest != normal.digest
    assert normal.given == uniform.given != scaled.given
    assert normal.draws != uniform.draws
    assert normal.draws == scaled.draws
    assert len(normal.draws) == 1
    assert {s for streams, _ in normal.draws | elsewhere.draws for s in streams} == {
        f"{stream_code(name):08x}" for name in ("one", "two")
    }


def test_keys_that_are_constants_count():
    def drawn(seed):
        key = jax.random.key(seed)
        return lambda x: x * jax.random.normal(key, (3,))

    assert of(drawn(0)) == of(drawn(0)) != of(drawn(1))


def test_numbers_and_functions_of_another_process_read_the_same():
    """Scatters hold a program that adds, gathers an enumeration, loops NumPy's integers."""

    def run(x):
        return x.at[jnp.array([0, 1])].add(1.0)[jnp.array([2])]

    jax.clear_caches()
    first = of(run)
    jax.clear_caches()
    assert first == of(run)
