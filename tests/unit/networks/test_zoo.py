"""docs/zoo.md is what `unitmean zoo` would write, for a half of it that stands for the rest."""

from pathlib import Path

import pytest

from unitmean import cli
from unitmean.networks.zoo import Entry, examine, names

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "zoo.md"
ROWS = {
    line.split(" | ")[0].removeprefix("| "): line
    for line in DOCUMENT.read_text(encoding="utf-8").partition("# timm's networks")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| network")
}
HALF = """\
alexnet densenet121 googlenet inception_v3 mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2
mobilenet_v3_large mobilenet_v3_small regnet_x_400mf regnet_x_800mf regnet_y_400mf regnet_y_800mf
regnet_x_1_6gf resnet18 resnet34 resnet50 resnext50_32x4d wide_resnet50_2 shufflenet_v2_x0_5
shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1 vgg11 vgg11_bn vgg13
vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn vit_b_32 convnext_tiny efficientnet_b0 swin_t resnet101""".split()
NUMBERS = """\
googlenet inception_v3 mnasnet0_5 mobilenet_v3_small regnet_y_400mf resnet18 shufflenet_v2_x0_5
squeezenet1_1 vgg11_bn""".split()
# One of each family, of those whose graphs are traced quickly; `make nightly` has all of the half.
FEW = """\
alexnet googlenet mnasnet0_5 mobilenet_v2 mobilenet_v3_small regnet_y_400mf resnet18 shufflenet_v2_x0_5
squeezenet1_1 vgg11_bn convnext_tiny""".split()
WHOLE = ("vgg", "alexnet", "squeezenet", "googlenet", "inception", "densenet", "shufflenet", "mnasnet",
         "resnet", "resnext", "wide_resnet", "regnet")  # fmt: skip
IN_PART = ("mobilenet", "efficientnet", "convnext", "vit", "swin", "maxvit")


def cells(name: str) -> list[str]:
    return [cell.strip() for cell in ROWS[name].strip("| ").split(" | ")]


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=pytest.mark.nightly) for name in HALF]
)
def test_the_table_is_true(name: str) -> None:
    entry = examine(name, numbers=name in NUMBERS)
    written = cells(name)
    assert written[1:6] == [
        f"{entry.sites}",
        f"{entry.channels:,}",
        f"{entry.free:,}",
        f"{entry.tied:,}",
        ", ".join(entry.forbidden) or "–",
    ], f"run `unitmean zoo --out {DOCUMENT.name}` to write it again"
    if name in NUMBERS:
        assert entry.difference is not None and entry.difference <= 1e-12


def test_every_network_is_in_the_table_and_unchanged() -> None:
    assert list(ROWS) == names()
    assert all(float(cells(name)[6]) <= 1e-12 for name in names())


def test_rectifier_networks_are_free_and_the_others_say_what_forbids() -> None:
    for name in names():
        _, _, channels, free, tied, forbidden, *_ = cells(name)
        whole = name.startswith(WHOLE)
        assert whole != name.startswith(IN_PART)
        assert (forbidden == "–") == whole
        # squeezenet's last rectifier is its output of 1,000 classes.
        output = 1000 if name.startswith("squeezenet") else 0
        assert int(free.replace(",", "")) + output == int(channels.replace(",", ""))
        assert (tied != "0") == name.startswith(("resnet", "resnext", "wide_resnet", "regnet"))


def test_the_command_prints_rows_and_refuses_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["zoo", "vgg11", "--quick"]) == 0
    assert "| vgg11 | 10 | 10,944 | 10,944 | 0 | – | – |" in capsys.readouterr().out
    assert cli.main(["zoo", "resnt18"]) == 1
    assert "did you mean resnet18" in capsys.readouterr().err


def test_a_killed_table_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examined = []

    def counting(name: str, *, numbers: bool) -> Entry:
        examined.append(name)
        if len(examined) == 2:
            raise KeyboardInterrupt
        return examine(name, numbers=numbers)

    monkeypatch.setattr("unitmean.pipeline.commands.zoo.examine", counting)
    command = ["zoo", "alexnet", "vgg11", "--quick", "--out", str(tmp_path / "zoo.md")]
    assert cli.main(command) == 130 and not (tmp_path / "zoo.md").exists()
    assert cli.main(command) == 0
    assert examined == ["alexnet", "vgg11", "vgg11"]
    assert [path.name for path in tmp_path.iterdir()] == ["zoo.md"]


def test_what_another_program_wrote_below_stays(tmp_path: Path) -> None:
    out = tmp_path / "zoo.md"
    out.write_text("# torchvision's networks\n\n| vgg10 |\n\n# timm's networks\n\n| resnet26 |\n")
    assert cli.main(["zoo", "vgg11", "--quick", "--out", str(out)]) == 0
    text = out.read_text()
    assert "vgg10" not in text and "| vgg11 |" in text
    assert text.endswith("\n# timm's networks\n\n| resnet26 |\n")
