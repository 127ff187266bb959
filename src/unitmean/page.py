"""A table and a picture of channel means as HTML, for notebooks and pages: no script, no other file."""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH, LEFT, ROW, BELOW = 640, 150, 20, 34
BEFORE, AFTER, INK = "#9aa5b1", "#c2410c", "#374151"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; color: #1f2937 }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
th, td {{ text-align: left; padding: .15rem .8rem .15rem 0 }}
</style></head><body><h1>{title}</h1>
{body}
</body></html>
"""

Range = tuple[float, float]


def table(rows: Sequence[Sequence[str]]) -> str:
    """An HTML table, whose head is the first row."""
    head, *body = rows
    below = "".join(_row("td", row) for row in body)
    return f"<table><thead>{_row('th', head)}</thead><tbody>{below}</tbody></table>"


def ranges(before: Mapping[str, Range], after: Mapping[str, Range], label: str) -> str:
    """An SVG with two bars for each layer: its least to greatest positive value before and after."""
    values = [v for found in (before, after) for pair in found.values() for v in pair] or [1.0]
    low, high = floor(log10(min(values))), max(ceil(log10(max(values))), floor(log10(min(values))) + 1)

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 20) * (log10(value) - low) / (high - low)

    bottom = ROW * len(before) + 8
    parts = []
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{bottom}" stroke="#e5e7eb"/>')
        text = f"{10.0**power:g}"
        parts.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{text}</text>')
    for row, site in enumerate(before):
        y = ROW * row + ROW / 2 + 4
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4:.0f}" text-anchor="end">{escape(site[-20:])}</text>')
        for pair, colour, width in ((before[site], BEFORE, 3), (after[site], AFTER, 7)):
            start, end = x(pair[0]) - 1.5, x(pair[1]) + 1.5
            parts.append(
                f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
                f'stroke-width="{width}"/>'
            )
    middle = (LEFT + WIDTH) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 29}" text-anchor="middle">{escape(label)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + BELOW}" width="{WIDTH}" '
        f'font-size="11" font-family="system-ui, sans-serif" fill="{INK}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def page(title: str, body: str) -> str:
    """A whole document."""
    return PAGE.format(title=escape(title), body=body)


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
