"""The options and the help text of each verb; nothing here is slow to import.

`run` in `fgspec.cli.verbs.train` has no body. `fgspec.cli.commands` calls `run` in
`fgspec.cli.train_` with the same arguments and imports that module only then. So `--help` imports
neither JAX nor the language.
"""
