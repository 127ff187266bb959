"""The stage that refuses a params.yaml which conf/ doesn't compose to."""

from pathlib import Path

from unitmean.disk.atomic import write_text
from unitmean.errors import ConfigError
from unitmean.pipeline.config.check import Values, check
from unitmean.pipeline.config.conf_sha import conf_sha
from unitmean.pipeline.config.contents import require_watched
from unitmean.pipeline.config.files import require_files
from unitmean.pipeline.stages.entry import Run, stage


def require_in_step(values: object, conf: Path) -> Values:
    """The `values` of params.yaml, checked; ConfigError unless their conf_sha is that of `conf`."""
    checked = check(values, "params.yaml")
    found, must = checked["meta"]["conf_sha"], conf_sha(conf)
    if found != must:
        raise ConfigError(
            f"meta.conf_sha in params.yaml must be that of conf/, {must[:12]!r}…; found {found[:12]!r}…: "
            "one was edited without the other. Run `unitmean configure [OVERRIDES…]` or `dvc exp run -S …`, "
            "which compose conf/ into params.yaml"
        )
    return checked


@stage
def config(run: Run) -> str:
    """Fail unless params.yaml fits the schema, was composed from conf/ as it is now and names what exists."""
    conf = run.dep("conf")
    checked = require_in_step(run.params, conf)
    require_files(checked, conf.parent, "params.yaml")
    require_watched(checked, conf.parent)
    # Constant, so that what depends on it doesn't run again for a comment in conf/.
    write_text(run.out("config.ok"), "params.yaml is in step with conf/\n")
    return "params.yaml is in step with conf/"


if __name__ == "__main__":
    config()
