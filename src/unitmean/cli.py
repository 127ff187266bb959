"""The command `unitmean`: finds the subcommand, turns its errors into words and a status."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from unitmean.ending import ending_in_words
from unitmean.errors import ConfigError

# Name, which is also the module's in unitmean.pipeline.commands, and what it does.
COMMANDS = {
    "repro": "compose conf/ into params.yaml, run the pipeline and show its figures",
    "configure": "compose conf/ into params.yaml",
    "zoo": "what can be normalised in each of torchvision's networks, as a table",
    "stylise": "give a picture the style of another",
    "audit": "say whether a published weights file is normalised, and by which measurement",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; its exit status, which is 1 after an error that the user can mend."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return ending_in_words(arguments[0] if arguments else "unitmean", lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    # The named command's module alone is imported: some take seconds.
    options = _parser(arguments[:1]).parse_args(arguments[:cut])
    options.behind = arguments[cut + 1 :]
    if options.behind and options.command != "repro":
        raise ConfigError(
            f"only `unitmean repro` takes arguments behind --; found {options.behind!r}: leave them out"
        )
    status: int = import_module(f"unitmean.pipeline.commands.{options.command}").run(options)
    return status


def _parser(named: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unitmean", description="Normalised networks, reproducibly.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, words in COMMANDS.items():
        command = commands.add_parser(
            name, help=words, description=words, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name in named:
            import_module(f"unitmean.pipeline.commands.{name}").arguments(command)
    return parser
