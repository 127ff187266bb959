"""What Hydra must know before it composes conf/: the schema, the networks and two resolvers."""

from pathlib import Path

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from unitmean.pipeline.config.conf_sha import conf_sha
from unitmean.pipeline.config.contents import contents
from unitmean.pipeline.config.networks import NETWORKS
from unitmean.pipeline.config.schema import Config


def register(conf: Path) -> None:
    """Make the schema, `model=NETWORK`, `${conf_sha:}` and `${contents:KEY}` known to this process's Hydra.

    The two are of this `conf`, and of the files that the value of KEY names.
    """
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for name in NETWORKS:
        # A file of this name sets more than the network's name, and Hydra would take only one of the two.
        if not (conf / "model" / f"{name}.yaml").exists():
            store.store(group="model", name=name, node={"name": name})
    OmegaConf.register_new_resolver("conf_sha", lambda: conf_sha(conf), replace=True)
    OmegaConf.register_new_resolver(
        "contents",
        lambda key, *, _root_: contents(OmegaConf.select(_root_, key), conf.parent),
        replace=True,
    )
