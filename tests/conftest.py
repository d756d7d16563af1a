"""Strict JAX for every test: no silent promotion of dtypes or ranks; quick compilation.

Almost all the time of the suite is XLA compiling tiny programs that then run for milliseconds, so
its costly passes are off here, in the runs that tests start as processes too. No test writes
compiled programs into the user's cache.
"""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["FGSPEC_CACHE"] = "off"
os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)
os.environ["XLA_FLAGS"] = " ".join(
    (
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
    )
)

import jax

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
