"""Where weights come from, and what is known of them for that reason."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchvision import models

from unitmean import __version__
from unitmean.disk.digest import sha256
from unitmean.errors import ConfigError, WeightsError
from unitmean.layouts.files import read_tensors
from unitmean.layouts.reading import canonical
from unitmean.networks.architectures import build
from unitmean.networks.inputs import CAFFE, TORCHVISION, Input
from unitmean.networks.seeded import seeded
from unitmean.networks.skeleton import skeleton
from unitmean.pipeline.disk.download import check_digest, download

# The address is the one github.com/ProGamerGov/neural-style-pt downloads from; the files are those of
# github.com/jcjohnson/pytorch-vgg, whose names end in the first digits of their sha256.
CAFFE_FOLDER = "https://web.eecs.umich.edu/~justincj/models/"
CAFFE_FILES = {"vgg16": "vgg16-00b39a1b.pth", "vgg19": "vgg19-d01eb7cb.pth"}
# https://www.robots.ox.ac.uk/~vgg/research/very_deep/
CAFFE_LICENCE = (
    "K. Simonyan and A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition "
    "(ICLR 2015), Visual Geometry Group, University of Oxford, CC BY 4.0; "
    "converted by J. Johnson (pytorch-vgg)"
)
TORCHVISION_LICENCE = (
    "published by torchvision under BSD-3-Clause; trained on ImageNet, whose terms may bind their use"
)
SEEDED_LICENCE = "random numbers: no licence needed"
UNKNOWN_LICENCE = "not known: ask whoever published the file"
INPUTS = {"torchvision": TORCHVISION, "caffe": CAFFE}


@dataclass(frozen=True)
class Request:
    """What is asked for: the `weights` section and the model's name."""

    model: str
    source: str
    seed: int
    spread: float
    path: str | None
    url: str | None
    sha256: str | None
    input: str


class Fetched(NamedTuple):
    """float32 weights under torchvision's keys, their provenance for JSON, and the download to be removed."""

    state_dict: dict[str, Tensor]
    metadata: dict[str, Any]
    downloaded: Path | None


class _Origin(NamedTuple):
    path: Path | None  # None: nothing to read, the weights are made
    facts: dict[str, Any]
    input: Input | None
    licence: str


def fetch(request: Request, partial: Path) -> Fetched:
    """Get the weights, check that they fit the model, and say where they came from.

    `partial` is a folder for downloads. Raises ConfigError, DownloadError, WeightsError, NetworkError.
    """
    skeleton(request.model)  # an unknown model is refused before anything is downloaded
    origin = _origin(request, partial)
    if origin.path is None:
        state_dict = seeded(request.model, request.seed, request.spread)
        layout, implied = "torchvision", origin.input
        notes: list[str] = []
    else:
        tensors, notes = read_tensors(origin.path)
        state_dict, layout, own, more = canonical(tensors, request.model)
        notes += more
        implied = own or origin.input
    input = choose_input(request.input, implied, layout)
    truncated = build(request.model, state_dict, input=input).truncated  # refuses what doesn't fit
    metadata = {
        "model": request.model,
        "source": {"kind": request.source} | origin.facts,
        "layout": layout,
        "truncated": truncated,
        "input": input.to_dict(),
        "notes": notes,
        "licence": origin.licence,
        "versions": {"unitmean": __version__, "torch": torch.__version__},
    }
    return Fetched(state_dict, metadata, origin.path if request.source != "file" else None)


def choose_input(setting: str, implied: Input | None, layout: str) -> Input:
    """The input that `weights.input` stands for, given what the source or the file itself implies."""
    if setting == "auto":
        if implied is None:
            raise WeightsError(
                f"weights in the {layout} layout don't say which pixels they were trained on, "
                "as weights.input=auto needs; give weights.input=caffe "
                "(BGR in 0..255 less the mean: Gatys' VGG) or weights.input=torchvision "
                "(RGB in [0, 1], ImageNet's mean and std)"
            )
        return implied
    if setting not in INPUTS:
        raise ConfigError(f"weights.input must be auto, {' or '.join(INPUTS)}; found {setting!r}")
    if layout == "adain" and INPUTS[setting] != implied:
        raise WeightsError(
            f"weights.input={setting} contradicts the file, whose first convolution makes {implied!r}; "
            "use weights.input=auto"
        )
    return INPUTS[setting]


def _origin(request: Request, partial: Path) -> _Origin:
    if request.source == "seeded":
        facts = {"seed": request.seed, "spread": request.spread}
        return _Origin(None, facts, TORCHVISION, SEEDED_LICENCE)
    if request.source == "file":
        path, digest = _file(request)
        return _Origin(path, {"file": path.name, "sha256": digest}, None, UNKNOWN_LICENCE)
    url, expected, implied, licence = _address(request)
    path = partial / hashlib.sha256(url.encode()).hexdigest()
    expected = check_digest(expected)
    # A complete download lies here when the run was stopped by something after it.
    digest = sha256(path) if path.is_file() else ""
    if not digest.startswith(expected):
        digest = download(url, path, expected, partial)
    return _Origin(path, {"from": url, "sha256": digest}, implied, licence)


def _address(request: Request) -> tuple[str, str, Input | None, str]:
    if request.source == "torchvision":
        weights = models.get_model_weights(request.model).DEFAULT
        name = weights.url.rpartition("/")[2]
        return weights.url, _digest_in(name), torchvision_input(request.model), TORCHVISION_LICENCE
    if request.source == "caffe":
        if request.model not in CAFFE_FILES:
            raise ConfigError(
                f"weights=caffe has the models {', '.join(CAFFE_FILES)}; found model.name {request.model!r}; "
                "choose one of these, or weights=torchvision"
            )
        name = CAFFE_FILES[request.model]
        return CAFFE_FOLDER + name, _digest_in(name), CAFFE, CAFFE_LICENCE
    if request.source == "url":
        if not request.url or not request.sha256:
            raise ConfigError(
                "weights=url needs weights.url and weights.sha256; "
                f"found {request.url!r} and {request.sha256!r}; give both"
            )
        return request.url, request.sha256, None, UNKNOWN_LICENCE
    raise ConfigError(
        f"weights.source must be seeded, torchvision, caffe, url or file; found {request.source!r}"
    )


def torchvision_input(model: str) -> Input:
    """What torchvision's own weights of a model were trained on."""
    transforms = models.get_model_weights(model).DEFAULT.transforms()
    if hasattr(skeleton(model), "transform_input"):
        # With its weights torchvision lets googlenet and inception turn ImageNet's mean and std into these.
        return Input("rgb", 1.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    mean, std = (tuple(map(float, values)) for values in (transforms.mean, transforms.std))
    return Input("rgb", 1.0, mean, std)  # type: ignore[arg-type]


def _digest_in(name: str) -> str:
    match = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    if match is None:
        raise WeightsError(
            f"the name of a published weights file must end in its sha256; found {name!r}; "
            "get it by hand and use weights=file"
        )
    return match[1]


def _file(request: Request) -> tuple[Path, str]:
    if not request.path:
        raise ConfigError(f"weights=file needs weights.path; found {request.path!r}; give the file's path")
    path = Path(request.path).expanduser()
    if not path.is_file():
        raise WeightsError(
            f"weights.path must be a file; found {'a folder' if path.is_dir() else 'nothing'} at "
            f"{request.path!r} (from {str(Path.cwd())!r}); correct it, or give an absolute path"
        )
    found = sha256(path)
    if request.sha256 and not found.startswith(check_digest(request.sha256)):
        raise WeightsError(
            f"{request.path} must have the sha256 {request.sha256.lower()}; found {found}; "
            "get the file again, or correct weights.sha256"
        )
    return path, found
