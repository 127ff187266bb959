"""The subcommands of `unitmean`, a module each: `arguments(parser)` declares, `run(options)` does.

`run` returns the exit status; UnitmeanError and KeyboardInterrupt are left to `unitmean.cli`.
"""
