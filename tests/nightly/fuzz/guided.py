"""Coverage-guided fuzzing of one reader by atheris (libFuzzer), which is no dependency of this project.

    uv pip install --target FOLDER atheris
    PYTHONPATH=FOLDER:tests python tests/nightly/fuzz/guided.py tar -runs=100000 -max_total_time=60

What stands behind the reader's name goes to libFuzzer. It ends with status 0, or with the traceback of what
came out that is no UnitmeanError and the file that made it. Coverage is of unitmean and of tarfile alone.
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any


def require_atheris() -> Any:
    try:
        import atheris
    except ImportError:
        sys.exit(
            "error: atheris must be importable; found none: run `uv pip install --target FOLDER "
            "atheris` (Python 3.11 to 3.13) "
            "and put FOLDER on PYTHONPATH, or use `make fuzz`, which does without"
        )
    return atheris


def traced() -> Iterator[FunctionType]:
    """Every function and method of unitmean and of tarfile that is loaded by now.

    Changed after they were imported, so that importing torch passes no hook.
    """
    for name, module in list(sys.modules.items()):
        if name == "tarfile" or name.startswith("unitmean."):
            owners = [module, *(value for value in vars(module).values() if isinstance(value, type))]
            for owner in owners:
                for value in list(vars(owner).values()):
                    if isinstance(value, FunctionType) and value.__module__ == name:
                        yield value


def main() -> None:
    atheris = require_atheris()
    from nightly.fuzz.mutations import mutate
    from nightly.fuzz.readers import READERS, attempt

    if len(sys.argv) < 2 or sys.argv[1] not in READERS:
        sys.exit(f"error: name a reader, one of {', '.join(READERS)}; found {sys.argv[1:]!r}")
    reader, folder = READERS[sys.argv[1]], Path(tempfile.mkdtemp())
    for function in traced():
        atheris.instrument_func(function)
    corpus, seeds = folder / "corpus", reader.seeds()
    corpus.mkdir()
    for i, data in enumerate(seeds):
        (corpus / str(i)).write_bytes(data)
    path = folder / f"file{reader.suffix}"

    def once(data: bytes) -> None:
        attempt(reader, path, data)

    def mutated(data: bytes, size: int, seed: int) -> bytes:
        """Half of the mutations are libFuzzer's, half know lengths and numbers as text."""
        rng = random.Random(seed)
        return mutate(rng, [data or b"\0", *seeds])[:size] if seed % 2 else atheris.Mutate(data, size)

    atheris.Setup([sys.argv[0], *sys.argv[2:], str(corpus)], once, custom_mutator=mutated)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
