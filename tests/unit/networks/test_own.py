"""Networks that a user's own code makes, spelt FILE.py:NAME."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from own_code import write_code
from torch import Tensor

import unitmean
from unitmean.errors import ConfigError, NetworkError, WeightsError
from unitmean.graph.analysis import analyse
from unitmean.layouts.files import save_weights
from unitmean.networks.architectures import build
from unitmean.networks.inputs import UNIT
from unitmean.networks.own import code_of, modules_beside, own, own_network, spelt
from unitmean.networks.skeleton import skeleton


@pytest.fixture
def code(tmp_path: Path) -> Path:
    return write_code(tmp_path)


def state(code: Path) -> dict[str, Tensor]:
    return dict(own_network(f"{code}:net").state_dict())


@pytest.mark.parametrize("architecture", ["vgg19", "a:b", "nets.txt:net"])
def test_other_names_are_torchvisions(architecture: str) -> None:
    assert own(architecture) is None and code_of(architecture) is None


def test_a_spelling_says_the_file_and_the_name() -> None:
    assert spelt("net", None) == "net"
    assert own(spelt("net", "c:/my nets/nets.py")) == (Path("c:/my nets/nets.py"), "net")


def test_the_skeleton_has_no_numbers_but_for_buffers(code: Path) -> None:
    module = skeleton(f"{code}:net")
    assert all(parameter.is_meta for parameter in module.parameters())
    assert float(module.get_buffer("middle")) == 0.5
    assert not module.training and not any(getattr(part, "inplace", False) for part in module.modules())
    assert skeleton(f"{code}:net") is not module, "each caller may change its own"


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_the_older_weight_norm_has_a_skeleton(tmp_path: Path) -> None:
    """It keeps the weight that it computed, which deepcopy refuses."""
    (tmp_path / "wn.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 4, 3)), nn.ReLU(), nn.Conv2d(4, 2, 1))\n"
    )
    spelling = f"{tmp_path / 'wn.py'}:net"
    assert skeleton(spelling).get_parameter("0.weight_g").is_meta
    made = own_network(spelling)
    network, x = build(spelling, dict(made.state_dict()), input=UNIT), torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(network.module(x), made(x))


def test_a_network_computes_what_the_codes_own_does(code: Path) -> None:
    network = build(f"{code}:net", state(code), input=UNIT)
    x = torch.rand(2, 3, 20, 20)
    assert torch.equal(network.module(x), own_network(f"{code}:net")(x))
    assert network.name == "net" and not network.truncated
    assert network.module.get_submodule("two").padding_mode == "circular"


def test_what_training_puts_around_a_network_is_taken_off(code: Path) -> None:
    assert own_network(f"{code}:averaged").state_dict().keys() == state(code).keys()


def test_tied_weights_stay_tied(code: Path) -> None:
    made = own_network(f"{code}:tied").state_dict()
    apart = {name: tensor.clone() for name, tensor in made.items()}  # as files hold them
    module = build(f"{code}:tied", apart, input=UNIT).module
    plan = analyse(module, torch.zeros(1, 3, 16, 16))
    assert plan.aliases == {"2.weight": ("2.weight", "4.weight")}
    factors = torch.where(plan.free, 1 + torch.arange(plan.variables).double(), 1.0)
    rescaled = plan.rescale(factors, module.state_dict())
    assert torch.equal(rescaled["2.weight"], rescaled["4.weight"])
    with pytest.raises(WeightsError, match="2.weight and 4.weight of .* are one tensor; found different"):
        build(f"{code}:tied", apart | {"4.weight": apart["4.weight"] + 1}, input=UNIT)


def test_modules_of_another_program_are_not_taken(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ModuleType("blocks")
    monkeypatch.setitem(sys.modules, "blocks", foreign)
    assert "one.0.weight" in own_network(f"{code}:net").state_dict()
    assert sys.modules["blocks"] is foreign


def test_a_link_leads_to_what_is_beside_the_file(code: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "nets.py"
    link.symlink_to(code)
    before = code_of(f"{link}:net")
    with (code.parent / "blocks" / "block.py").open("a") as file:
        file.write("# changed\n")
    assert code_of(f"{link}:net") != before


def test_weights_must_be_exactly_the_networks(code: Path) -> None:
    fewer = state(code)
    del fewer["head.bias"]
    with pytest.raises(WeightsError, match=r"must have exactly its 11 tensors; missing 1: \['head.bias'\]"):
        build(f"{code}:net", fewer, input=UNIT)


@pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nat", r"found no 'nat' there, but Widths, Net, net, several, .*, with_width: name one"),
        ("torch", "found no 'torch' there"),
        ("nothing", "must return a torch.nn.Module; found NoneType"),
        ("lazy", "not initialised: '0.*' has no shape before the network is called once"),
        ("scripted", "found one that is compiled by TorchScript"),
        ("fails", r"found SystemExit: usage: … \(.*nets.py:\d+\): mend the code"),
        ("with_width", "when it is called without arguments; found TypeError: .* missing 1 required"),
    ],
)
def test_what_makes_no_network_is_refused_in_words(code: Path, name: str, words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        skeleton(f"{code}:{name}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:", r"found SyntaxError: .*broken.py:1\)"),
        ("import nowhere_to_be_found", r"found ModuleNotFoundError: .*broken.py:1\)"),
        ("\0", "must be Python that can be imported"),
    ],
)
def test_code_that_fails_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(NetworkError, match=words):
        skeleton(f"{tmp_path}/broken.py:f")


def test_a_file_that_isnt_there_is_named(tmp_path: Path) -> None:
    for use in (skeleton, code_of):
        with pytest.raises(NetworkError, match="found nothing at '.*absent.py'"):
            use(f"{tmp_path}/absent.py:f")


def test_pythons_path_stays_as_it_was(code: Path) -> None:
    before = list(sys.path)
    skeleton(f"{code}:net")
    with pytest.raises(NetworkError):
        skeleton(f"{code}:fails")
    assert sys.path == before


def test_modules_of_one_name_beside_two_files_are_kept_apart(tmp_path: Path) -> None:
    one, other = (write_code(tmp_path / name) for name in ("one", "other"))
    block = other.parent / "blocks" / "block.py"
    block.write_text(block.read_text().replace("nn.BatchNorm2d(made)", "nn.Identity()"))
    names = [set(skeleton(f"{code}:net").state_dict()) for code in (one, other, one)]
    assert "one.1.weight" in names[0] and "one.1.weight" not in names[1] and names[2] == names[0]
    assert "one.1.weight" in own_network(f"{one}:net").state_dict()


def test_code_that_changes_in_a_session_is_run_anew(code: Path) -> None:
    """As in a notebook: what was imported before must not stay."""
    before = own_network(f"{code}:net").state_dict()
    block = code.parent / "blocks" / "block.py"
    block.write_text(block.read_text().replace("nn.BatchNorm2d(made)", "nn.Identity()"))
    assert "one.1.weight" in before and "one.1.weight" not in skeleton(f"{code}:net").state_dict()
    code.write_text(code.read_text().replace("last: int = 12", "last: int = 16"))
    assert len(own_network(f"{code}:net").state_dict()["two.weight"]) == 16


def test_packages_below_the_code_stay_imported(code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's environment often lies in its folder."""
    packages = code.parent / ".venv" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "installed_below.py").write_text("")
    code.write_text(f"import installed_below\n{code.read_text().partition('annotations')[2]}")
    monkeypatch.syspath_prepend(str(packages))
    skeleton(f"{code}:net")
    names = [module.__name__ for module in modules_beside(f"{code}:net")]
    assert {"blocks", "blocks.block"} <= set(names) and "installed_below" not in names
    kept = sys.modules["installed_below"]
    other = write_code(code.parent / "other")
    skeleton(f"{other}:net")
    assert sys.modules["installed_below"] is kept


@pytest.mark.parametrize("edited", ["nets.py", "blocks/__init__.py", "blocks/block.py"])
def test_the_digest_is_of_the_code_and_all_that_it_imports(code: Path, edited: str) -> None:
    before = code_of(f"{code}:net")
    (code.parent / "unrelated.py").write_text("x = 1")
    assert code_of(f"{code}:net") == before
    with (code.parent / edited).open("a") as file:
        file.write("# changed\n")
    assert code_of(f"{code}:net") != before


@pytest.fixture
def file(code: Path, tmp_path: Path) -> Path:
    metadata = {"model": "net", "code": code_of(f"{code}:net"), "input": UNIT.to_dict()}
    save_weights(tmp_path / "net.safetensors", state(code), metadata)
    return tmp_path / "net.safetensors"


SRC = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent / "src"))
import reached_elsewhere
from torch import nn

def net():
    return reached_elsewhere.block()
"""


def test_the_digest_is_also_of_code_that_lies_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a project's src folder, which is found by running the code alone."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "nets.py").write_text(SRC)
    package, helper = tmp_path / "src" / "reached_elsewhere", tmp_path / "src" / "reached_helper.py"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from reached_helper import conv\n\ndef block():\n    return conv(3, 4, 1)\n"
    )
    helper.write_text("from torch.nn import Conv2d as conv\n\nWIDTH = 4\n")
    spelling, seen = f"{tmp_path / 'nets.py'}:net", set()
    own_network(spelling)
    for file in (helper, package / "__init__.py", tmp_path / "nets.py"):
        for _ in range(2):  # the same code has the same digest
            found = code_of(spelling)
            assert found is not None
            seen.add(found["sha256"])
        file.write_text(file.read_text() + "# changed\n")
    assert len(seen) == 3


def test_a_file_is_loaded_with_its_code(file: Path, code: Path) -> None:
    loaded = unitmean.load(file, model=f"{code}:net")
    x = torch.rand(1, 3, 24, 24)
    assert torch.equal(loaded(x), own_network(f"{code}:net")(x))
    assert loaded.architecture == "net"


Asked = Callable[[Path], str | None]


@pytest.mark.parametrize("asked", [lambda code: None, lambda code: "net", lambda code: f"{code}:several"])
def test_a_file_alone_never_runs_code(file: Path, code: Path, asked: Asked) -> None:
    code.write_text("raise SystemExit('this code was run')")
    with pytest.raises(ConfigError, match=r"must be given as FILE.py:NAME.*give nets.py:net"):
        unitmean.load(file, model=asked(code))


def test_code_that_changed_since_is_told_of(file: Path, code: Path) -> None:
    with code.open("a") as changed:
        changed.write("# changed\n")
    with pytest.warns(UserWarning, match="isn't the code that .*net.safetensors was made with"):
        unitmean.load(file, model=f"{code}:net")


def test_a_name_in_a_file_that_spells_code_is_not_followed(code: Path, tmp_path: Path) -> None:
    """Whoever wrote the file would choose what runs here."""
    path = tmp_path / "hostile.safetensors"
    save_weights(path, state(code), {"model": f"{code}:net", "input": UNIT.to_dict()})
    code.write_text("raise SystemExit('this code was run')")
    with pytest.raises(ConfigError, match="FILE.py:NAME"):
        unitmean.load(path)
