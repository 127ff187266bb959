"""What Hydra must know before it composes conf/: the schema and the `conf_sha` resolver."""

from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from unitmean.pipeline.config.conf_sha import conf_sha
from unitmean.pipeline.config.schema import Config


def register(conf: Path) -> None:
    """Make the schema and `${conf_sha:}` of `conf` known to this process's Hydra."""
    ConfigStore.instance().store(name="schema", node=Config)
    OmegaConf.register_new_resolver("conf_sha", lambda: conf_sha(conf), replace=True)
