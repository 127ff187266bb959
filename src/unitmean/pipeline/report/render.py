"""Evidence as one self-contained page."""

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from unitmean.pipeline.report import audited, card, figures, findings
from unitmean.pipeline.report.gather import Audit, Evidence, data_uri
from unitmean.pipeline.report.numbers import interval, number
from unitmean.statistics import words


def render(evidence: Evidence) -> str:
    """HTML that needs no other file: pictures and figures lie inside."""
    environment = Environment(
        loader=PackageLoader("unitmean.pipeline", "report"),
        autoescape=True,
        undefined=StrictUndefined,  # a gap in the data fails here, rather than being printed
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["interval"] = interval
    return environment.get_template("template.html").render(_context(evidence))


def _context(evidence: Evidence) -> dict[str, Any]:
    checks = findings.checks(evidence)
    transfer = evidence.transfer
    drawn = {
        "means": figures.means(evidence.means),
        "convergence": figures.convergence(evidence.convergence),
        "invariance": figures.invariance(evidence.layers),
    }
    if transfer is not None:
        drawn["style_layers"] = figures.style_layers(transfer.layers)
        drawn["descent"] = figures.descent(transfer.losses)
    return {
        "evidence": evidence,
        "checks": checks,
        "passed": evidence.invariance["passed"],
        "stand_ins": findings.stand_ins(evidence),
        "verdict": findings.verdict(evidence),
        "statistic": words.statistic(evidence.provenance["rescale"]),
        "whole": findings.all_at_one(evidence),
        "unreached": evidence.provenance["rescale"]["unreached"],
        "spread": findings.spread(transfer) if transfer is not None else {},
        "kinds": findings.kinds(evidence).to_dict("records"),
        "table": findings.layer_table(evidence).to_dict("records"),
        "exceptions": findings.exceptions(evidence),
        "audit": _audit(evidence.audit) if evidence.audit is not None else {},
        "files": [card.file(entry) for entry in evidence.exports],
        "origin": findings.origin(evidence),
        "hashes": findings.hashes(evidence),
        "figures": {name: data_uri(svg, "image/svg+xml") for name, svg in drawn.items()},
        "pictures": {name: data_uri(png, "image/png") for name, png in transfer.pictures.items()}
        if transfer is not None
        else {},
        "details": json.dumps(evidence.provenance, indent=2, sort_keys=True),
    }


def _audit(audit: Audit) -> dict[str, Any]:
    return {
        "candidates": audit.candidates.to_dict("records"),
        "best": audit.candidates.iloc[0].to_dict(),
        "layers": audited.layers(audit),
        "unexplained": audited.unexplained(audit),
    }
