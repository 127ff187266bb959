"""Sources of weights and what they say about them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from unitmean.errors import ConfigError, NetworkError, WeightsError
from unitmean.layouts.files import save_weights
from unitmean.networks.inputs import CAFFE, TORCHVISION
from unitmean.networks.published import published_input
from unitmean.pipeline.disk import download as downloads
from unitmean.pipeline.sources.fetch import choose_input, fetch
from unitmean.pipeline.sources.weights.source import Origin, Request, WeightsSource


def request(**changes: Any) -> Request:
    fields: dict[str, Any] = {
        "model": "vgg11",
        "source": "file",
        "seed": 0,
        "spread": 3.0,
        "path": None,
        "url": None,
        "sha256": None,
        "input": "auto",
    }
    return Request(**(fields | changes))


def gatys() -> dict[str, Tensor]:
    return {"conv1_1.weight": torch.rand(64, 3, 3, 3), "conv1_1.bias": torch.rand(64)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(gatys(), tmp_path / "w.pth")
    return tmp_path / "w.pth"


@pytest.fixture
def served(file: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """`download` without a network: it finds every address in `file`, and notes the calls."""
    calls: list[tuple[str, str]] = []

    def download(url: str, path: Path, digest: str, partial: Path) -> str:
        calls.append((url, digest))
        partial.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.read_bytes())
        return hashlib.sha256(file.read_bytes()).hexdigest()

    monkeypatch.setattr(downloads, "download", download)
    return calls


def test_file(file: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    fetched = fetch(request(path=str(file), sha256=digest[:10]), tmp_path)
    assert list(fetched.state_dict) == ["features.0.weight", "features.0.bias"]
    assert fetched.downloaded is None
    metadata = json.loads(json.dumps(fetched.metadata))
    assert str(file.parent) not in json.dumps(metadata)  # what is passed on says nothing of this machine
    assert metadata["source"] == {"kind": "file", "file": file.name, "sha256": digest}
    assert (metadata["layout"], metadata["truncated"]) == ("leongatys", True)
    assert metadata["input"] == CAFFE.to_dict()
    assert metadata["versions"]["torch"] == str(torch.__version__)


def test_file_refusals(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="weights.path"):
        fetch(request(), tmp_path)
    with pytest.raises(WeightsError, match="found nothing at 'absent.pth'"):
        fetch(request(path="absent.pth"), tmp_path)
    with pytest.raises(WeightsError, match="found a folder"):
        fetch(request(path=str(tmp_path)), tmp_path)
    with pytest.raises(WeightsError, match="must have the sha256 00000000; found"):
        fetch(request(path=str(file), sha256="0" * 8), tmp_path)


def test_torchvision_keys_need_an_input(tmp_path: Path) -> None:
    torch.save({f"features.0.{k[8:]}": v for k, v in gatys().items()}, tmp_path / "w.pth")
    asked = request(path=str(tmp_path / "w.pth"))
    with pytest.raises(WeightsError, match="weights.input=caffe .*weights.input=torchvision"):
        fetch(asked, tmp_path)
    fetched = fetch(request(path=str(tmp_path / "w.pth"), input="torchvision"), tmp_path)
    assert fetched.metadata["input"] == TORCHVISION.to_dict()


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    torch.save(gatys() | {"conv1_1.bias": torch.full((64,), float("nan"))}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="features.0.bias holds 64 NaN"):
        fetch(request(path=str(tmp_path / "w.pth")), tmp_path)


def test_url(served: list[tuple[str, str]], tmp_path: Path, file: Path) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    asked = request(source="url", url="https://example.org/w.pth?x=1", sha256=digest[:8])
    fetched = fetch(asked, tmp_path / "partial")
    assert served == [("https://example.org/w.pth?x=1", digest[:8])]
    assert fetched.metadata["source"] == {"kind": "url", "from": asked.url, "sha256": digest}
    # What is complete already isn't downloaded again.
    assert fetched.downloaded is not None and fetched.downloaded.is_file()
    fetch(asked, tmp_path / "partial")
    assert len(served) == 1


@pytest.mark.parametrize("changes", [{"url": "https://example.org"}, {"sha256": "0" * 8}])
def test_url_needs_address_and_digest(changes: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs weights.url and weights.sha256"):
        fetch(request(source="url", **changes), tmp_path)


def test_published_addresses_and_digests(served: list[tuple[str, str]], tmp_path: Path) -> None:
    for model, source in [("vgg19", "torchvision"), ("vgg19", "caffe"), ("vgg16", "caffe")]:
        metadata = fetch(request(model=model, source=source), tmp_path / model / source).metadata
        assert metadata["licence"]
    assert [(url.rpartition("/")[2], digest) for url, digest in served] == [
        ("vgg19-dcbb9e9d.pth", "dcbb9e9d"),
        ("vgg19-d01eb7cb.pth", "d01eb7cb"),
        ("vgg16-00b39a1b.pth", "00b39a1b"),
    ]


def test_caffe_has_two_models(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vgg16, vgg19; found model.name 'vgg11'"):
        fetch(request(source="caffe"), tmp_path)


def test_a_file_that_this_package_wrote_names_its_input(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, {"features.0.weight": torch.rand(64, 3, 3, 3), "features.0.bias": torch.rand(64)},
                 {"input": CAFFE.to_dict()})  # fmt: skip
    fetched = fetch(request(path=str(path)), tmp_path)
    assert fetched.metadata["input"] == CAFFE.to_dict()
    with pytest.raises(
        WeightsError, match=r"weights.input=torchvision contradicts .* use weights.input=auto"
    ):
        fetch(request(path=str(path), input="torchvision"), tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_what_a_source_makes_may_have_any_layout_and_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    made = {key: tensor.to(dtype) for key, tensor in gatys().items()}
    source = WeightsSource("made", "made", (), lambda *_: Origin({}, "none", "CC0-1.0", CAFFE, made=made))
    monkeypatch.setattr("unitmean.pipeline.sources.fetch.weights_sources", lambda: {"made": source})
    fetched = fetch(request(source="made"), tmp_path)
    assert {key: t.dtype for key, t in fetched.state_dict.items()} == {
        "features.0.weight": torch.float32,
        "features.0.bias": torch.float32,
    }
    assert any("converted to float32" in note for note in fetched.metadata["notes"])


def test_refused_before_any_download(served: list[tuple[str, str]], tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="found 'vgg12'"):
        fetch(request(model="vgg12", source="torchvision"), tmp_path)
    with pytest.raises(ConfigError, match="found 'ftp'"):
        fetch(request(source="ftp"), tmp_path)
    assert served == []


def test_seeded(tmp_path: Path) -> None:
    fetched = fetch(request(model="squeezenet1_1", source="seeded", seed=3), tmp_path)
    assert fetched.metadata["source"] == {"kind": "seeded", "seed": 3, "spread": 3.0}
    assert fetched.metadata["input"] == TORCHVISION.to_dict()
    assert not fetched.metadata["truncated"]


def test_inputs() -> None:
    assert published_input("vgg19") == TORCHVISION
    assert published_input("googlenet").mean == (0.5, 0.5, 0.5)
    assert choose_input("caffe", TORCHVISION, "torchvision") == CAFFE
    assert choose_input("caffe", CAFFE, "adain") == CAFFE
    with pytest.raises(WeightsError, match="contradicts the file"):
        choose_input("torchvision", CAFFE, "adain")
    with pytest.raises(ConfigError, match="found 'bgr'"):
        choose_input("bgr", None, "torchvision")
