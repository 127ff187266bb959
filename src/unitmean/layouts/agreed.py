"""A network that the user names must be the one that the weights say they are of."""

from unitmean.errors import ConfigError


def require_same_model(weights: str, own: str, asked: str | None) -> None:
    """ConfigError where another network is asked for than `own`, which the weights name."""
    if asked is not None and asked != own:
        raise ConfigError(
            f"--model must be {own} or left out, since {weights} says which network it is of; found "
            f"{asked!r}: leave it out, or give other weights"
        )
