"""What Hydra must know before it composes conf/: the schema, the networks and the `conf_sha` resolver."""

from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from unitmean.pipeline.config.conf_sha import conf_sha
from unitmean.pipeline.config.networks import NETWORKS
from unitmean.pipeline.config.schema import Config


def register(conf: Path) -> None:
    """Make the schema, `model=NETWORK` and `${conf_sha:}` of `conf` known to this process's Hydra."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for name in NETWORKS:
        # A file of this name sets more than the network's name, and Hydra would take only one of the two.
        if not (conf / "model" / f"{name}.yaml").exists():
            store.store(group="model", name=name, node={"name": name})
    OmegaConf.register_new_resolver("conf_sha", lambda: conf_sha(conf), replace=True)
