"""The oracle of Fournier et al. beside a case: what it is given, and its gradient by path."""

import jax
import numpy as np

from compiler.network.initialize import SCHEMES, initialize
from compiler.noise import address
from oracle import fournier


def untrained(guess, made, state):
    """The heads that a guess is made under: drawn at this step, or as at the start."""
    key = (
        state.key
        if guess == "fixed_ntk"
        else jax.random.key_data(address(state.key, "ntk", state.step))
    )
    scheme = SCHEMES[made.plan.network.initialization]
    return jax.device_get(initialize({"heads": made.plan.heads()}, key, scheme)["heads"])


def guided(case, params, x, labels, space, noise):
    """The oracle of Fournier et al. on a perceptron without normalization; others have none."""
    if case.architecture != "mlp" or case.norm.type != "none":
        raise NotImplementedError("no oracle")
    count = len(case.sizes)
    blocks = [
        {"w": params[f"block{j}/dense/w"][:, 0], "b": params[f"block{j}/dense/b"][0]}
        for j in range(count)
    ]
    paths = [*(f"heads/block{j}" for j in range(count - 1)), "classifier"]
    heads = [{part: params.get(f"{path}/{part}") for part in "wb"} for path in paths]
    how = {"target": case.target, "space": space, "guess": case.guess}
    if noise and "guess_heads" in noise:
        drawn = [noise["guess_heads"][f"block{j}"] for j in range(count - 1)]
        how["guess_heads"] = [*drawn, heads[-1]]
    still = [{"w": np.zeros((block["w"].shape[1], 10)), "b": np.zeros(10)} for block in blocks]
    heads = [a if a["w"] is not None else b for a, b in zip(heads, still, strict=True)]
    how |= {"normalisation": case.projection or ("squared_norm" if case.guided else "none")}
    if not case.guided:
        how |= {"guess": "noise", "noise": _by_block(noise, count)}
        how |= {"granularity": "batch"} if space == "weight" else {}
    made = fournier.gradients(blocks, heads, x[:, 0, 0], labels, **how)
    shapes = {path: value.shape for path, value in params.items()}
    named = {f"block{j}/dense/{k}": v for j in range(count) for k, v in made["blocks"][j].items()}
    for path, grads in zip(paths, made["heads"], strict=True):
        named |= {f"{path}/{part}": v for part, v in (grads or {}).items()}
    return {path: value.reshape(shapes[path]) for path, value in named.items()}


def _by_block(noise, count):
    """Stored noise of the one sample by block, in the oracle's shapes [n or 1, width]."""
    found = [{} for _ in range(count - 1)]
    for name, value in noise.items():
        block, *rest = name.split("/")
        index = int(block.removeprefix("block"))
        if index < count - 1:
            kind = "block_output" if not rest else "activation"
            found[index][rest[-1] if rest and rest[-1] in "wb" else kind] = value[0]
    shaped = {"w": lambda v: v[:, 0][None], "b": lambda v: v}
    shaped |= dict.fromkeys(("activation", "block_output"), lambda v: v[:, 0, 0])
    return [{k: np.float64(shaped[k](v)) for k, v in one.items()} for one in found]
