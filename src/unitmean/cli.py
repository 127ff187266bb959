"""The command `unitmean`: runs the subcommand, turns its errors into a message and an exit status."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import NamedTuple

from unitmean import __version__
from unitmean.ending import ending_in_words
from unitmean.errors import ConfigError


class Command(NamedTuple):
    """The module with the subcommand's functions `arguments` and `run`, and a description for --help."""

    module: str
    words: str


COMMANDS = {
    "repro": Command(
        "unitmean.pipeline.commands.repro",
        "compose conf/ into params.yaml, run the pipeline and show its figures",
    ),
    "configure": Command("unitmean.pipeline.commands.configure", "compose conf/ into params.yaml"),
    "normalise": Command(
        "unitmean.pipeline.commands.normalise", "a weights file and photographs in, a normalised file out"
    ),
    "init": Command("unitmean.pipeline.commands.init", "the pipeline as a new project of your own"),
    "zoo": Command(
        "unitmean.pipeline.commands.zoo",
        "what can be normalised in each of torchvision's networks, as a table",
    ),
    "stylise": Command("unitmean.commands.stylise", "give a picture the style of another"),
    "audit": Command(
        "unitmean.pipeline.commands.audit",
        "say whether a published weights file is normalised, and by which measurement",
    ),
}


COMPLETION = "--completion"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status, 1 after an error that the user can correct."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return ending_in_words(arguments[0] if arguments else "unitmean", lambda: _run(arguments))


def _run(arguments: list[str]) -> int:
    if arguments[:1] == [COMPLETION]:
        return _complete(arguments[1:])
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    # The named command's module alone is imported: some take seconds.
    options = _parser(arguments[:1]).parse_args(arguments[:cut])
    options.behind = arguments[cut + 1 :]
    if options.behind and options.command != "repro":
        raise ConfigError(
            f"only `unitmean repro` takes arguments behind --; found {options.behind!r}: leave them out"
        )
    with _extra_named(options.command):
        status: int = import_module(COMMANDS[options.command].module).run(options)
    return status


def _complete(shells: list[str]) -> int:
    """Print the script that makes a shell complete the command's words."""
    import shtab

    if len(shells) != 1 or shells[0] not in shtab.SUPPORTED_SHELLS:
        raise ConfigError(
            f"{COMPLETION} must be followed by one of {', '.join(shtab.SUPPORTED_SHELLS)}; found "
            f"{' '.join(shells) or 'nothing'}: name your shell"
        )
    print(shtab.complete(_parser([name for name in COMMANDS if _installed(name)]), shells[0]))
    return 0


def _installed(command: str) -> bool:
    """Whether the packages that the command needs are there."""
    try:
        import_module(COMMANDS[command].module)
    except ModuleNotFoundError:
        return False
    return True


def _parser(named: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="unitmean", description="Normalised networks, reproducibly.")
    parser.add_argument("--version", action="version", version=f"unitmean {__version__}")
    parser.add_argument(
        COMPLETION, metavar="SHELL", help='for bash, zsh, tcsh or fish: eval "$(unitmean --completion bash)"'
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, words) in COMMANDS.items():
        command = commands.add_parser(
            name, help=words, description=words, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name in named:
            with _extra_named(name):
                import_module(module).arguments(command)
    return parser


@contextmanager
def _extra_named(command: str) -> Iterator[None]:
    """The absence of a package that only the pipeline needs becomes an error that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "unitmean":  # a bug in this package
            raise
        raise ConfigError(
            f"`unitmean {command}` needs the pipeline's packages; found no {missing!r}: "
            "run pip install 'unitmean[pipeline]'"
        ) from error
