"""Values that XLA's CPU compiler would compute anew wherever they are read."""

import jax
from jaxtyping import Array, Float


def computed_once(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same finite numbers, divided by one, so that XLA computes them only once.

    On a CPU, XLA repeats cheap operations wherever their result is read, but never a division. A
    sum along residual connections reaches back to the first block, so every block would compute
    those before it again: backprop through 16 blocks took 4.0 s instead of 2.4, fg-a 5.6 s instead
    of 2.6. Normal noise was drawn twice with jax 0.12: LG-FG-A on M/8/16 took 1.67 CPU seconds
    instead of 1.48, and 341 MiB instead of 212. An `optimization_barrier` does not help, because
    XLA drops it before it decides this.
    """
    return x / (1 + 0 * jax.lax.stop_gradient(x))  # the compiler cannot know that this is 1
