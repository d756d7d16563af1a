"""What a user's environment asks of JAX that it, or a run, cannot do: told in a line."""

import os

import jax

from fgspec.errors import UserError

_CHOOSE = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
"""Variables that choose a back end."""


def refuse_missing_backend() -> None:
    """Raise unless JAX can compute on the devices that it was told to use.

    Raises:
        UserError: it cannot, with the variable that asks for them.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # AssertionError: `cuda`, in a JAX for CPUs
        asked = [f"{name}={os.environ[name]}" for name in _CHOOSE if os.environ.get(name)]
        reason = str(error).strip().split("\n", 1)[0].rstrip(".") or "it has no such back end"
        if not asked:
            raise UserError(
                f"JAX cannot use the devices of this machine ({reason}); set JAX_PLATFORMS=cpu to "
                "use the CPU"
            ) from error
        raise UserError(
            f"{' '.join(asked)}: JAX cannot use these devices ({reason}); unset it to use the "
            "devices of this machine, or install JAX for the devices that it names, for example "
            "with pip install 'fgspec[gpu]'"
        ) from error


def refuse_interpreting() -> None:
    """Raise where JAX was told to compile nothing, as a run is a compiled program.

    Raises:
        UserError: it was.
    """
    if jax.config.values["jax_disable_jit"]:
        raise UserError(
            "JAX_DISABLE_JIT: this variable forbids JAX to compile, but a run is a compiled "
            "program; unset it. To step through an update in a debugger, call fgspec.compile in "
            "Python"
        )
