"""A made-up run of a tiny network."""

import dataclasses
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from unitmean.pipeline.report.gather import PICTURES, Audit, Evidence, Transfer

SITES = {"relu1_1": 6, "relu2_1": 8}


WEIGHTS = {
    "source": {"kind": "seeded", "seed": 0},
    "licence": "none needed",
    "truncated": False,
    "input": {"order": "rgb", "scale": 1.0, "mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2]},
}


EXPORTS = [
    {
        "name": "tiny_normalised_torchvision.pth",
        "how": "Module and keys are `torchvision`'s.\n\n"
        "    network = tiny()\n"
        '    network.load_state_dict(torch.load("tiny.pth"))',
    }
]


def png(colour: tuple[int, int, int]) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def channels() -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        [(site, channel) for site, count in SITES.items() for channel in range(count)],
        columns=["site", "channel"],
    )
    frame["mean"] = np.exp(random.normal(0, 2, len(frame)))
    return frame


def evidence(**changes: Any) -> Evidence:
    frame = channels()
    factors = frame.assign(factor=frame["mean"], status="normalised", reason=None)
    means = pd.DataFrame(
        {
            "site": frame["site"],
            "channel": frame["channel"],
            "mean_before": frame["mean"],
            "factor": frame["mean"],
            "status": "normalised",
            "mean_after": 1 + np.linspace(-1e-6, 1e-6, len(frame)),
            "target": 1.0,
        }
    )
    layers = pd.DataFrame(
        {
            "site": [*SITES, "output"],
            "float64": [1e-16, 2e-16, 3e-16],
            "float32": [1e-7, 2e-7, 3e-7],
            "float32_error": [1e-7, 2e-7, 2e-7],
        }
    )
    inputs = pd.concat([layers.assign(input=kind) for kind in ("image", "zero")], ignore_index=True)
    convergence = pd.DataFrame(
        {"images": [6, 12], "median": [0.2, 0.1], "at_share": [0.4, 0.3], "worst": 0.5}
    )
    losses = pd.DataFrame({"step": [0, 1, 2], "plain": [9e5, 7e4, 6e4], "normalised": [9e2, 4e1, 3e1]})
    losses[["plain_pixels", "normalised_pixels"]] = 256
    made = Evidence(
        dataset={"name": "generated", "source": "generated"},
        weights=WEIGHTS,
        provenance={
            "rescale": {"outputs": "preserve", "rounding": "none", "statistic": "mean", "unreached": []},
            "statistics": {
                "images": 12,
                "dataset": "generated",
                "model": {"name": "tiny", "pooling": "max", "padding": "zeros"},
                "preprocess": {"resize": "warp", "pixels": 32, "crop": None, "antialias": True},
                "weights": "ab" * 32,
                "index": "cd" * 32,
                "unitmean": "0.1.0",
                "torch": "2.9.0",
            },
        },
        invariance={
            "float64_difference": 3e-16,
            "float32_difference": 3e-7,
            "float32_error": 2e-7,
            "float32_ratio": 1.5,
            "top1_agreement": 1.0,
            "bit_identical": False,
            "max_mean_error": 1e-6,
            "max_mean_ratio": 0.2,
            "images": 12,
            "compared_images": 4,
            "differing": [],
            "top5_agreement": 1.0,
            "compared_choices": 6,
            "labelled": 0,
            "heldout_images": 2,
            "heldout_within_2": 0.95,
            "heldout_within_3": 0.99,
            "inputs": ["image", "random", "zero", "constant", "very large", "very small", "48 pixels"],
            "passed": True,
            "sha256": "ef" * 32,
            "failures": [],
            "tolerances": {
                "max_float64_difference": 1e-12,
                "max_float32_ratio": 3.0,
                "max_mean_ratio": 8.0,
                "min_top1_agreement": 1.0,
            },
        },
        rescale={"channels": 14, "normalised": 14, "dead": 0, "pinned": 0},
        transfer=Transfer(
            {"passed": True, "plain_decrease": 0.93, "normalised_decrease": 0.97},
            {"pooling": "avg", "layer_weights": "equal"},
            losses,
            pd.DataFrame({"layer": [*SITES], "plain": [3e5, 1e3], "normalised": [400.0, 200.0]}),
            {name: png((40 * i, 90, 120)) for i, name in enumerate(PICTURES)},
        ),
        audit=None,
        loading='network = torchvision.models.tiny()\nnetwork.load_state_dict(load_file("n.safetensors"))',
        exports=EXPORTS,
        skipped=0,
        left_out=0,
        convergence=convergence,
        inputs=inputs,
        statistics=frame,
        factors=factors,
        layers=layers,
        means=means,
    )
    return dataclasses.replace(made, **changes)


def failed(**changes: Any) -> Evidence:
    proof = dict(evidence().invariance) | {
        "passed": False,
        "float64_difference": 0.19,
        "failures": ["float64 must differ by at most 1e-12 at <relu2_1>; found 0.19"],
    }
    return evidence(invariance=proof, transfer=None, **changes)


def audited(normalised: bool = True) -> Evidence:
    ways = [(pixels, padding) for pixels in ("warp 32", "37, crop 32") for padding in ("zeros", "reflect")]
    candidates = pd.DataFrame(
        {
            "candidate": f"{pixels}, {padding}, max",
            "pixels": pixels,
            "input": "caffe",
            "padding": padding,
            "pooling": "max",
            "spread": 0.02 * 3**i,
            "distance": 0.03 * 2**i,
            "within": 0.96 - 0.2 * i,
        }
        for i, (pixels, padding) in enumerate(ways)
    )
    means = channels().drop(columns="mean")
    means = means.assign(mean=1 + np.linspace(-0.1, 0.1, len(means)), standard_error=0.05)
    means.loc[3, ["mean", "standard_error"]] = 0.0
    means.loc[5, "mean"] = 1.3
    means["shared_mean"] = means["mean"]
    means["z"] = (means["mean"] - 1) / means["standard_error"].where(means["standard_error"] > 0)
    means["known"] = means["mean"] > 0
    means["explained"] = ~means["known"] | (means["z"].abs() <= 4)
    figures = {
        "audit_normalised": normalised,
        "audit_best": "warp 32, zeros, max",
        "audit_spread": 0.02,
        "audit_distance": 0.03,
        "audit_within_3": 0.96,
        "audit_layers_off": 0 if normalised else 2,
        "audit_unknown": 1,
        "audit_unexplained": 1,
        "audit_images": 8,
    }
    return evidence(audit=Audit(figures, candidates, means))
