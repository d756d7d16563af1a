"""What each verb takes: its options and its help, without anything that takes time to import.

`run` of `fgspec.cli.verbs.train` has no body: `fgspec.cli.main` calls `run` of `fgspec.cli.train_`
with the same arguments, which is imported only then. So `--help` waits for neither JAX nor the
language.
"""
