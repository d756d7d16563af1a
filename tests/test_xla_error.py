"""Errors of XLA are known by whatever class JAX raises them as."""

import jax
import jax.numpy as jnp
import pytest

from fgspec.errors import RunError
from fgspec.processes import join
from fgspec.training.out_of_memory import enough_memory
from fgspec.xla_error import is_of_xla

LOST = (
    "UNKNOWN: Gloo AllGather failed: [external/gloo/gloo/transport/tcp/pair.cc:538] "
    "Read error [127.0.0.1]:16281: Connection reset by peer"
)
"""What a jitted function said at its call when another process had been killed."""

FULL = "RESOURCE_EXHAUSTED: Error writing \"a\": No space left on device [tensorstore_spec='{}']"


@pytest.mark.parametrize("kind", [ValueError, jax.errors.JaxRuntimeError])
def test_a_process_that_was_lost_is_named_as_the_likely_cause(kind, capsys):
    join._tell(kind(LOST))
    said = capsys.readouterr().err
    assert "most likely because another process ended (UNKNOWN: Gloo AllGather" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("kind", [ValueError, jax.errors.JaxRuntimeError])
def test_memory_that_runs_out_is_told_in_a_line(kind):
    with (
        pytest.raises(RunError, match=r"a\.yaml: needs more memory than there is \(350 bytes\)"),
        enough_memory("a.yaml"),
    ):
        raise kind("RESOURCE_EXHAUSTED: 350 bytes")


def test_an_array_too_large_is_an_error_of_xla():
    with pytest.raises(Exception, match=r"RESOURCE_EXHAUSTED|Out of memory") as raised:
        jax.jit(lambda: jnp.zeros((10**6, 10**6)))().block_until_ready()
    assert is_of_xla(raised.value)


@pytest.mark.parametrize("error", [ValueError("no: such"), ValueError(FULL), TypeError(LOST)])
def test_other_errors_are_not_of_xla(error):
    assert not is_of_xla(error)
