"""Weights by the name that they have on the Hugging Face hub, or in a folder of its form."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

import unitmean
from unitmean.errors import WeightsError
from unitmean.hub import located
from unitmean.layouts.files import save_weights
from unitmean.networks.inputs import TORCHVISION
from unitmean.networks.seeded import seeded

CODE = """\
import sys, unitmean
for name in sys.argv[1:]:
    try:
        print(unitmean.load(name).architecture)
    except unitmean.UnitmeanError as error:
        print("error:", error)
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with a small network's weights, as the hub holds them."""
    metadata = {"model": "squeezenet1_1", "input": TORCHVISION.to_dict()}
    (tmp_path / "repository").mkdir()
    save_weights(tmp_path / "repository" / "model.safetensors", seeded("squeezenet1_1", 0, 1.0), metadata)
    return tmp_path / "repository"


@pytest.fixture
def endpoint(weights: Path) -> Iterator[str]:
    """A server that answers for owner/name as the hub does."""
    content = (weights / "model.safetensors").read_bytes()

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            known = self.path in {
                f"/owner/name/resolve/{r}/model.safetensors" for r in ("main", "v1", 40 * "a")
            }
            self.send_response(200 if known else 404)
            if known:
                self.send_header("X-Repo-Commit", 40 * "a")
                self.send_header("ETag", hashlib.sha256(content).hexdigest())
            else:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", str(len(content) if known else 0))
            self.end_headers()
            if body and known:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_name_on_the_hub_is_downloaded_and_its_absence_told(endpoint: str, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache"), "HF_TOKEN": ""}
    names = ["hf://owner/name", "hf://owner/name@v1", "hf://owner/absent"]
    command = [sys.executable, "-W", "ignore", "-c", CODE, *names]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    first, second, third = found.stdout.strip().splitlines()
    assert first == second == "squeezenet1_1"
    assert third.startswith(
        "error: hf://owner/absent must hold model.safetensors that can be downloaded; found: "
    )


def test_a_folder_is_taken_for_its_file(weights: Path, tmp_path: Path) -> None:
    assert located(weights) == weights / "model.safetensors"
    assert located(weights / "model.safetensors") == weights / "model.safetensors"
    network = unitmean.load(weights)
    assert network(torch.rand(1, 3, 64, 64)).shape == (1, 1000)
    with pytest.raises(WeightsError, match="must hold model.safetensors; found none"):
        unitmean.load(tmp_path)


@pytest.mark.parametrize("name", ["hf://", "hf://name", "hf://a/b/c", "hf:///b"])
def test_a_name_must_be_an_owner_and_a_name(name: str) -> None:
    with pytest.raises(WeightsError, match="must be hf://owner/name"):
        located(name)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=r"install unitmean\[hub\]"):
        located("hf://owner/name")
