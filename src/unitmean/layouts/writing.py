"""Which layouts a network can be written in."""

import re
from importlib.util import find_spec

from unitmean.errors import ConfigError, WeightsError
from unitmean.layouts.kinds import layouts
from unitmean.layouts.layout import Layout
from unitmean.networks.architectures import Network


def chosen(names: list[str], network: Network) -> list[Layout]:
    """The layouts that `rescale.exports` names, "all" being all that fit, each once.

    Raises WeightsError, naming what fits, where one doesn't; ConfigError where the packages that one needs
    aren't installed.
    """
    known = layouts()
    reasons = {name: layout.misfit(network) for name, layout in known.items()}
    fitting = [name for name, reason in reasons.items() if reason is None]
    for name in names:
        if name != "all" and (reason := reasons[name]):
            raise WeightsError(
                f"rescale.exports={name} doesn't fit: {reason}; "
                f"choose from {', '.join(fitting)}, or say all for these"
            )
    found = [known[name] for name in fitting if "all" in names or name in names]
    for layout in found:
        require_installed(layout)
    return found


def require_possible(layout: Layout, architecture: str) -> None:
    """WeightsError where the layout takes no network of that architecture; else as `require_installed`."""
    if not re.fullmatch(layout.architectures, architecture):
        raise WeightsError(
            f"rescale.exports={layout.name} doesn't fit: it takes {layout.fits}; found {architecture}: leave "
            "it out, or say all for those that fit"
        )
    require_installed(layout)


def require_installed(layout: Layout) -> None:
    """ConfigError where a package is missing that writing the layout needs."""
    if missing := [name for name in layout.needs if find_spec(name) is None]:
        raise ConfigError(
            f"rescale.exports={layout.name} needs the packages {' and '.join(layout.needs)}; "
            f"found no {', '.join(missing)}: install unitmean[{layout.name}], or leave {layout.name} out"
        )
