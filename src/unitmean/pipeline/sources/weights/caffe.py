"""The original weights of VGG-16 and VGG-19, which the paper started from."""

from pathlib import Path

from unitmean.errors import ConfigError
from unitmean.pipeline.sources.weights.source import Origin, Request, WeightsSource

# The address is the one github.com/ProGamerGov/neural-style-pt downloads from; the files are those of
# github.com/jcjohnson/pytorch-vgg, whose names end in the first digits of their sha256.
FOLDER = "https://web.eecs.umich.edu/~justincj/models/"
FILES = {"vgg16": "vgg16-00b39a1b.pth", "vgg19": "vgg19-d01eb7cb.pth"}
# https://www.robots.ox.ac.uk/~vgg/research/very_deep/
LICENCE = (
    "K. Simonyan and A. Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition "
    "(ICLR 2015), Visual Geometry Group, University of Oxford, CC BY 4.0; "
    "converted by J. Johnson (pytorch-vgg)"
)


def get(request: Request, partial: Path) -> Origin:
    from unitmean.networks.inputs import CAFFE
    from unitmean.pipeline.sources.weights.downloading import digest_in, downloaded

    if request.model not in FILES:
        raise ConfigError(
            f"weights=caffe has the models {', '.join(FILES)}; found model.name {request.model!r}; "
            "choose one of these, or other weights"
        )
    name = FILES[request.model]
    return downloaded(FOLDER + name, digest_in(name), partial, LICENCE, "cc-by-4.0", CAFFE)


SOURCE = WeightsSource("caffe", "the original VGG-16 and VGG-19, which the paper started from", (), get)
