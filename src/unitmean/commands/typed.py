"""Errors name settings as they were typed, where a command has arguments for them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from unitmean.errors import UnitmeanError


@contextmanager
def named_as_typed(arguments: Mapping[str, str], unseen: str = "") -> Iterator[None]:
    """Put a command's arguments for the keys of `arguments` in errors, and leave out the words `unseen`."""
    try:
        yield
    except UnitmeanError as error:
        words = str(error).replace(unseen, "")
        for key, argument in arguments.items():
            words = words.replace(key, argument)
        raise UnitmeanError(words) from error
