"""One page, whole and alone."""

import base64
import dataclasses
import re
import xml.etree.ElementTree as xml
from functools import cache
from html.parser import HTMLParser

import pytest
from pipeline.report.made_up import WEIGHTS, audited, evidence, failed

from unitmean.pipeline.report.render import render

VOID = {"meta", "link", "img", "br"}
# Attributes whose address a browser follows, by itself or when told to.
ADDRESSES = (
    "src srcset href xlink:href data poster action formaction background cite ping manifest archive"
).split()


class Page(HTMLParser):
    """Text, tags left open and addresses that a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ADDRESSES]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


CASES = {
    "passed": evidence(),
    "failed": failed(),
    "features only": evidence(
        invariance=dict(evidence().invariance) | {"top1_agreement": None},
        provenance=dict(evidence().provenance)
        | {"rescale": evidence().provenance["rescale"] | {"outputs": "normalise"}},
    ),
    "bit for bit": evidence(invariance=dict(evidence().invariance) | {"bit_identical": True}),
}


@cache
def page_of(case: str) -> str:
    return render(CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_is_whole_and_fetches_nothing(case: str) -> None:
    html = page_of(case)
    page = Page(html)
    assert page.open == []
    assert len(page.fetched) == (1 + 3 if case == "failed" else 1 + 5 + 4)  # icon, figures, pictures
    assert all(address.startswith("data:") for address in page.fetched)
    assert "@import" not in html and "url(" not in html and "http-equiv" not in html and "<base" not in html
    assert len(html) < 5_000_000


def test_nothing_inside_a_figure_is_fetched_either() -> None:
    figures = re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page_of("passed"))
    assert len(figures) == 5
    for figure in figures:
        root = xml.fromstring(base64.b64decode(figure))
        values = [(name, value) for part in root.iter() for name, value in part.attrib.items()]
        assert all(value.startswith("#") for name, value in values if name.rpartition("}")[2] == "href")
        assert all(found == "url(#" for _, value in values for found in re.findall(r"url\(.", value))
        assert not any(
            part.tag.rpartition("}")[2] in ("script", "image", "foreignObject") for part in root.iter()
        )


def test_the_verdict_comes_first() -> None:
    for case, headline in (("passed", "Invariant and normalised"), ("failed", "Not proved")):
        html = page_of(case)
        assert headline in html[html.index("<h1>") : html.index("</h1>")]
        assert html.index("<h1>") < html.index("<h2>")


def test_a_failure_is_told_and_escaped() -> None:
    html = page_of("failed")
    assert "at &lt;relu2_1&gt;; found 0.19" in html
    assert "✗" in html and "✗" not in page_of("passed")


def test_stand_ins_are_told() -> None:
    assert "not the real thing" in page_of("passed")
    real = evidence(
        weights=WEIGHTS | {"source": {"kind": "caffe"}},
        dataset={"name": "val", "source": "ilsvrc_val"},
    )
    assert "not the real thing" not in render(real)


def test_dead_channels_are_listed_with_their_reason() -> None:
    factors = evidence().factors
    factors.loc[[1, 2, 3], ["status", "reason"]] = ["dead", "active nowhere"]
    text = " ".join(Page(render(evidence(factors=factors))).text.split())
    assert "relu1_1, 3 dead: 1–3 active nowhere" in text


def test_what_holds_of_some_channels_is_not_said_of_all() -> None:
    added = "to how many channels that was done, and how nearly, is said above"
    made = evidence()
    assert added not in " ".join(page_of("passed").split())
    rounded = made.provenance["rescale"] | {"rounding": "pow2"}
    for changes in (
        {"rescale": dict(made.rescale) | {"normalised": 8, "tied": 6}},
        {"provenance": dict(made.provenance) | {"rescale": rounded}},
    ):
        text = " ".join(render(evidence(**changes)).split())
        assert added in text and "all of them" not in text[text.index("Before and after") :][:400]


def test_hashes_are_shown() -> None:
    html = page_of("passed")
    assert all(sha * 32 in html for sha in ("ab", "cd", "ef"))


def test_equal_evidence_gives_an_equal_page() -> None:
    assert render(evidence()) == page_of("passed")


def test_a_failed_page_claims_no_proof() -> None:
    assert "The proof above holds" in page_of("passed")
    assert "The proof above holds" not in page_of("failed")


def test_real_weights_on_generated_images_are_of_some_use() -> None:
    made = evidence(weights=WEIGHTS | {"source": {"kind": "caffe"}})
    html = render(made)
    assert "On photographs the means will be others." in html and "of no use" not in html
    assert "of no use" in page_of("passed")


def test_every_exported_file_says_how_it_is_loaded() -> None:
    page = page_of("passed")
    assert "<summary>exports/tiny_normalised_torchvision.pth</summary>" in page
    assert "<p>Module and keys are torchvision&#39;s.</p>" in page
    assert "<pre>network = tiny()\nnetwork.load_state_dict(torch.load(&#34;tiny.pth&#34;))</pre>" in page


def test_the_page_shows_the_code_that_loads_the_file() -> None:
    assert "<pre>import torch, torchvision\nfrom safetensors.torch import load_file\n" in page_of("passed")
    assert "\nnetwork = torchvision.models.tiny()\n" in page_of("passed")


def transferred(**settings: str) -> str:
    transfer = evidence().transfer
    assert transfer is not None
    changed = dataclasses.replace(transfer, settings=dict(transfer.settings) | settings)
    return " ".join(Page(render(evidence(transfer=changed))).text.split())


def test_a_style_transfer_is_said_to_be_what_it_was() -> None:
    usual = transferred()
    assert "Both have the same loss weights." in usual and "average pooling, as in the paper." in usual
    authors = transferred(layer_weights="authors")
    assert "same loss weights" not in authors and "The plain network has the authors' loss weights" in authors
    most = transferred(pooling="max")
    assert "as in the paper" not in most and "made with max pooling" in most


def test_no_page_claims_means_of_one_of_another_statistic_or_names_a_makefile() -> None:
    for case in ("passed", "features only"):
        text = " ".join(Page(page_of(case)).text.split())
        assert "means are one with" not in text and "make repro" not in text and "dvc repro" in text


def test_an_audit_that_could_judge_nothing() -> None:
    made = audited(normalised=False)
    assert made.audit is not None
    figures = dict(made.audit.figures) | {
        "audit_spread": None,
        "audit_distance": None,
        "audit_within_3": None,
    }
    means = made.audit.means.assign(known=False, explained=True)
    made = dataclasses.replace(made, audit=dataclasses.replace(made.audit, figures=figures, means=means))
    text = " ".join(Page(render(made)).text.split())
    assert (
        "Were the weights normalised before? No." in text and "nan" not in text and "So measured" not in text
    )


def test_an_audit_says_whether_by_which_way_and_which_channels_are_off() -> None:
    text = " ".join(Page(render(audited())).text.split())
    assert "Were the weights normalised before? Yes." in text
    assert "measured in 4 ways over 8 images, scatter least by warp 32, input caffe" in text
    assert "Off by more than sampling explains, the worst first: relu1_1 channel 5 (1.3)." in text
    no = " ".join(Page(render(audited(normalised=False))).text.split())
    assert "Were the weights normalised before? No." in no and "Off by more" not in no
    assert "Were the weights normalised" not in page_of("passed")
