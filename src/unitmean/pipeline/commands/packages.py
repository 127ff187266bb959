"""What settings need is missed before anything runs, rather than at the end of a day."""

from unitmean.pipeline.config.check import Values


def require_packages(values: Values) -> None:
    """ConfigError for a package that isn't installed, WeightsError for a layout that can't fit."""
    # Imported as they are needed: they import torch, for which other runs shouldn't wait.
    if values["hub"]["enabled"]:
        from unitmean.pipeline.exports.hub import require_hub

        require_hub()
    if values["collect"]["engine"] == "ray":
        from unitmean.pipeline.measure.cluster import require_ray

        require_ray()
    if exports := values["rescale"]["exports"]:
        from unitmean.layouts.kinds import layouts
        from unitmean.layouts.writing import require_possible
        from unitmean.networks.own import spelt

        model = values["model"]
        for name in exports:
            if name != "all":  # which stands for those that fit, whichever these are
                require_possible(layouts()[name], spelt(model["name"], model["code"]))
