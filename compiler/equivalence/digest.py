"""One digest for each output of a traced function, of the computation that makes it.

A traced program is followed from inputs to outputs. The digest of a value is the hash of the
operation that made it, the operation's parameters and the digests of its operands; inputs are
hashed by name. So the digest of an output covers exactly what the output depends on. Dead code,
names and order of variables, and calls of inner functions do not change it.

Equal digests mean the same computation. Different digests mean another computation, which may still
have the same result. (JAX's own removal of dead code is private, and does not tell the carries of a
loop apart.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np

from compiler.equivalence.loops import Turn, looped
from compiler.equivalence.parameters import described
from compiler.equivalence.value_digest import NONE, Known, cut, hashed, made, part_of

KEY, STEP = "state/key", "state/step"
"""The inputs that random numbers are made from."""


def digests(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    names: Sequence[str],
) -> dict[str, Known]:
    """The digest of every output of a function, by its path in the function's result.

    The function is traced; nothing is compiled or computed.

    Args:
        function: a pure function of arrays.
        arguments: trees of arrays, or of their shapes and dtypes.
        names: the names of the arguments. The name of a leaf is its argument's name and its path.
            The leaf `KEY` is the source of all random numbers; neither it nor `STEP` is data.
    """
    traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
    inputs = []
    for name, argument in zip(names, arguments, strict=True):
        for path, leaf in jax.tree_util.tree_flatten_with_path(argument)[0]:
            input_name = "/".join(word for word in (name, _path(path)) if word)
            digest = hashed("input", input_name, str(leaf.shape), str(leaf.dtype))
            streams = frozenset((input_name,)) if input_name == KEY else NONE
            inputs.append(Known(digest, digest, input_name not in (KEY, STEP), streams))
    outputs = (cut(known, "output") for known in _closed(traced, inputs))
    paths = [_path(path) for path, _ in jax.tree_util.tree_flatten_with_path(shapes)[0]]
    return dict(zip(paths, outputs, strict=True))


def _path(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _closed(closed: Any, operands: Sequence[Known]) -> list[Known]:
    constants = [_constant(value) for value in getattr(closed, "consts", ())]
    return _followed(getattr(closed, "jaxpr", closed), constants, operands)


def _constant(value: Any) -> Known:
    key = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    array = np.asarray(jax.random.key_data(value) if key else value)
    digest = hashed("constant", str(array.dtype), array.shape, array.tobytes())
    zero = array.dtype.kind in "biufc" and not array.any()
    number = int(array) if array.ndim == 0 and array.dtype.kind in "iu" else None
    return Known(digest, digest, False, zero=zero, number=number)


def _followed(program: Any, constants: list[Known], operands: Sequence[Known]) -> list[Known]:
    known = dict(zip([*program.constvars, *program.invars], [*constants, *operands], strict=True))

    def read(atom: Any) -> Known:
        return _constant(atom.val) if isinstance(atom, jex.Literal) else known[atom]

    for equation in program.eqns:
        follow = _RULES.get(equation.primitive.name, _operation)
        results = follow(equation, [read(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in program.outvars]


def _operation(equation: Any, operands: Sequence[Known]) -> list[Known]:
    shapes = [str(atom.aval) for atom in equation.invars]
    head = hashed(equation.primitive.name, described(equation.params))
    result = made(head, list(zip(operands, shapes, strict=True)))
    return [part_of(result, str(index)) for index in range(len(equation.outvars))]


def _call(equation: Any, operands: Sequence[Known]) -> list[Known]:
    """A called function is replaced by its body."""
    inner = next(equation.params[name] for name in _BODIES if name in equation.params)
    return _closed(inner, operands)


def _fold(equation: Any, operands: Sequence[Known]) -> list[Known]:
    """A fold of stacked keys or stacked codes is a fold of each by itself."""
    key, code = operands
    count = max(len(key.parts), len(code.parts))
    if not count:
        return [_folded(key, code)]
    pairs = zip(key.parts or [key] * count, code.parts or [code] * count, strict=True)
    parts = tuple(_folded(single_key, single_code) for single_key, single_code in pairs)
    (result,) = _operation(equation, operands)
    names = frozenset[str]().union(*(folded.streams for folded in parts))
    return [result._replace(streams=names, parts=parts)]


def _folded(key: Known, code: Known) -> Known:
    """The first number that is folded into the key of a run names a random stream."""
    folded = made("random_fold_in", [(key, ""), (code, "")])
    if folded.data or not folded.streams <= {KEY} or code.number is None:
        return folded
    return folded._replace(streams=frozenset((f"{code.number:08x}",)))


def _stack(equation: Any, operands: Sequence[Known]) -> list[Known]:
    """A concatenation of single numbers keeps them as parts."""
    (result,) = _operation(equation, operands)
    single = all(atom.aval.size == 1 for atom in equation.invars)
    return [result._replace(parts=tuple(operands))] if single else [result]


def _slice(equation: Any, operands: Sequence[Known]) -> list[Known]:
    """A slice of one number is one of the parts."""
    (known,), params = operands, equation.params
    if not known.parts or equation.outvars[0].aval.shape != (1,):
        return _operation(equation, operands)
    element = known.parts[params["start_indices"][0]]
    return [element._replace(parts=(element,))]


def _squeeze(equation: Any, operands: Sequence[Known]) -> list[Known]:
    """A single part without its axis is the part itself."""
    (known,) = operands
    single = len(known.parts) == 1 and equation.outvars[0].aval.shape == ()
    return [known.parts[0]] if single else _moved(equation, operands)


def _branches(equation: Any, operands: Sequence[Known]) -> list[Known]:
    """Each output depends on the index of the branch and on this output of all branches."""
    index, *others = operands
    by_branch = [_closed(branch, others) for branch in equation.params["branches"]]
    shapes = [str(atom.aval) for atom in equation.outvars]
    return [
        made("cond", [(index, ""), *((known, shape) for known in branch_values)])
        for shape, *branch_values in zip(shapes, *by_branch, strict=True)
    ]


def _scan(equation: Any, operands: Sequence[Known]) -> list[Known]:
    params = equation.params
    first, last = _constants_and_carries(equation)
    shared, starts = operands[:first], operands[first:last]
    sliced = [part_of(known, "slice") for known in operands[last:]]

    def body(carries: list[Known]) -> Turn:
        results = _closed(params["jaxpr"], [*shared, *carries, *sliced])
        return Turn(results[: len(carries)], results[len(carries) :], [])

    return looped(hashed("scan", str(params["length"]), str(params["reverse"])), body, starts)


def _constants_and_carries(equation: Any) -> tuple[int, int]:
    """The positions where the carries of a scan begin and end among its inputs.

    They are found from shapes, because versions of JAX have different names for them: arrays that
    are scanned over have one more axis outside the body than inside.
    """
    body = equation.params["jaxpr"]
    unsliced = sum(
        outside.aval.shape == inside.shape
        for outside, inside in zip(equation.invars, body.in_avals, strict=True)
    )
    carried = sum(
        outside.aval.shape == inside.shape
        for outside, inside in zip(equation.outvars, body.out_avals, strict=True)
    )
    return unsliced - carried, unsliced


def _while(equation: Any, operands: Sequence[Known]) -> list[Known]:
    params = equation.params
    first, last = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    condition_constants, shared, starts = operands[:first], operands[first:last], operands[last:]

    def body(carries: list[Known]) -> Turn:
        goes_on = _closed(params["cond_jaxpr"], [*condition_constants, *carries])
        return Turn(_closed(params["body_jaxpr"], [*shared, *carries]), [], goes_on)

    return looped("while", body, starts)


def _sum(equation: Any, operands: Sequence[Known]) -> list[Known]:
    """Adding zeros does not change an array."""
    shape = equation.outvars[0].aval.shape
    pairs = zip(operands, equation.invars, strict=True)
    nonzero = [known for known, atom in pairs if not (known.zero and atom.aval.shape == shape)]
    return nonzero if len(nonzero) == 1 else _operation(equation, operands)


def _moved(equation: Any, operands: Sequence[Known]) -> list[Known]:
    """Zeros in another shape are still zeros."""
    (result,) = _operation(equation, operands)
    number = operands[0].number if equation.outvars[0].aval.size == 1 else None
    return [result._replace(zero=operands[0].zero, number=number)]


def _identity(equation: Any, operands: Sequence[Known]) -> list[Known]:
    """Operations that change no number: hints for the compiler or for derivatives."""
    return list(operands)


_BODIES = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""The parameters of JAX's equations that hold the body of a called function."""

_RULES: dict[str, Callable[[Any, Sequence[Known]], list[Known]]] = {
    **dict.fromkeys(("jit", "closed_call", "core_call", "remat2", "checkpoint"), _call),
    **dict.fromkeys(("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"), _call),
    **dict.fromkeys(("stop_gradient", "name", "copy", "copy_p"), _identity),
    **dict.fromkeys(("optimization_barrier", "sharding_constraint"), _identity),
    **dict.fromkeys(("add", "add_any"), _sum),
    **dict.fromkeys(("broadcast_in_dim", "convert_element_type"), _moved),
    **dict.fromkeys(("stack", "concatenate"), _stack),
    **dict.fromkeys(("squeeze", "reshape"), _squeeze),
    "slice": _slice,
    "random_fold_in": _fold,
    "cond": _branches,
    "scan": _scan,
    "while": _while,
}
"""Operations that contain programs, name streams or change no number; all others are hashed."""
