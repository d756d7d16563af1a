"""A pipeline of stages, each on a core of its own, against one process on one core.

    python benchmarks/pipeline.py [--stages 2] [--steps 32] [--rounds 7]

LG-FG-A on a LocalMixer of four equal blocks behind a small first one. Both processes compile first
and then take turns, a call each; a simulated device computes in one thread.
"""

import argparse
import os
import subprocess
import sys
import time

import numpy as np

SPEC = """
fgspec: 1
name: pipeline
rule: lg-fg-a
data: {{source: {{type: synthetic, image: [32, 32, 3]}}, batch_size: 64}}
architecture: {{type: local_mixer, blocks: 8, patches: 4, channels: 128, groups: 8}}
compile: {{steps_per_call: {steps}, input: host}}
training: {{steps: {steps}}}
mesh: {{stage: {stages}}}
"""


def serve(stages: int, steps: int) -> None:
    """Compile on so many cores, then make one call for every line that comes in."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:stages])
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = (
        f"--xla_force_host_platform_device_count={stages} --xla_cpu_multi_thread_eigen=false"
    )
    import jax

    import fgspec
    from compiler.cost.compiled import compile_update, random_records
    from compiler.cost.pipeline_stages import utilisation
    from compiler.cost.updates_per_call import Calls
    from fgspec.loading.spec_file import loads

    program = fgspec.compile(loads(SPEC.format(stages=stages, steps=steps)))
    call = compile_update(program, Calls(steps, False)).call
    state = program.init(0)
    records = random_records(program, steps)
    print(utilisation(program.plan, steps), flush=True)
    for _ in sys.stdin:
        began, worked = time.perf_counter(), time.process_time()
        state, _ = jax.block_until_ready(call(state, records, None))
        print(time.perf_counter() - began, time.process_time() - worked, flush=True)


def main() -> None:
    """Print the times of an update, and how many times quicker the pipeline is."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--stages", type=int, default=2)
    asked.add_argument("--steps", type=int, default=32)
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--serve", type=int)
    given = asked.parse_args()
    if given.serve is not None:
        serve(given.serve, given.steps)
        return
    command = [sys.executable, __file__, "--steps", str(given.steps), "--serve"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen([*command, str(count)], **pipes) for count in (1, given.stages)]
    shares = [float(process.stdout.readline()) for process in both]
    times = []
    for _ in range(given.rounds + 1):
        for process in both:
            process.stdin.write("go\n")
            process.stdin.flush()
            times.append([float(t) / given.steps for t in process.stdout.readline().split()])
    for process in both:
        process.stdin.close()
        process.wait()
    (alone, staged), work = np.moveaxis(np.array(times[2:]).reshape(-1, 2, 2), 0, -1).swapaxes(0, 1)
    low, middle, high = np.percentile(alone / staged, (25, 50, 75))
    cpu = np.median(work, axis=-1) * 1e3
    print(f"one core: {np.median(alone) * 1e3:.1f} ms an update, {cpu[0]:.1f} ms of processor time")
    print(f"{given.stages} stages: {np.median(staged) * 1e3:.1f} ms, {cpu[1]:.1f} ms of processors")
    print(
        f"{middle:.2f} times quicker (quartiles {low:.2f}-{high:.2f}); predicted "
        f"{given.stages * shares[1]:.2f}"
    )


if __name__ == "__main__":
    main()
