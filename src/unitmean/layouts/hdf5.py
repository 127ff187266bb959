"""HDF5 files, as Keras writes them: arrays by name, which h5py reads."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unitmean.errors import WeightsError, refusing

MAGIC = b"\x89HDF\r\n"
MOST = 16  # times the file's size that its arrays may claim: HDF5 can promise zeros without storing them


def read_hdf5(path: Path) -> dict[str, Tensor]:
    """Every array of numbers under its path, such as `block1_conv1/block1_conv1/kernel:0`.

    Keras numbers the layers of a `.weights.h5` by class and stores a layer's own name as an attribute beside
    its arrays: this name is used, as `block1_conv1/0` for `layers/conv2d/vars/0`. Raises WeightsError without
    h5py, for a damaged file, for two layers of one name, and for arrays that lie in other files.
    """
    if find_spec("h5py") is None:
        raise WeightsError(
            f"{path} is an HDF5 file, as Keras writes, and reading it needs h5py; found none: "
            "pip install 'unitmean[keras]'"
        )
    import h5py

    with refusing(
        lambda error: WeightsError(
            f"{path} must be a whole HDF5 file; found {str(error)[-160:]!r}; "
            "it is truncated or damaged: get it again"
        )
    ):
        with h5py.File(path, "r", locking=False) as file:
            arrays = list(_arrays(file, "", path))
            if sum(array.nbytes for _, array in arrays) > MOST * path.stat().st_size:
                raise WeightsError(
                    f"{path} must hold what it says; its arrays claim more than {MOST} times its size; "
                    "it is damaged or hostile: get it elsewhere"
                )
            found = {name: torch.from_numpy(np.array(array)) for name, array in arrays}
            if len(found) < len(arrays):
                raise WeightsError(
                    f"{path} must name each layer once; found {len(arrays)} arrays under {len(found)} names; "
                    "name its layers apart in Keras"
                )
            return found


def _arrays(group: Any, inside: str, path: Path) -> Iterator[tuple[str, Any]]:
    import h5py

    of_layer = "/layers/" in group.name and group.name.endswith("/vars")
    own = group.attrs.get("name") if of_layer else None
    here = f"{own}/" if isinstance(own, str) else inside
    for key in group:
        link = group.get(key, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise WeightsError(
                f"{path} must hold its arrays itself; found {key!r}, a link to elsewhere; "
                "copy it with its arrays"
            )
        part = group[key]
        if isinstance(part, h5py.Group):
            yield from _arrays(part, f"{here}{key}/", path)
        elif part.dtype.kind in "fiu" and not part.external and not part.is_virtual:
            yield f"{here}{key}", part
        elif part.dtype.kind in "fiu":
            raise WeightsError(
                f"{path} must hold its arrays itself; found {key!r} in another file; copy it with its arrays"
            )
