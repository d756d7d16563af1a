for s in 0 1 2; do fgspec train specs/quickstart.yaml --set seed=$s --run-dir /tmp/r | grep -E "^done|jax" ; done
