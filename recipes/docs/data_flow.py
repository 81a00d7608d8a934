"""Draws the picture of the data flow: a box for each stage, with the record that the stage makes."""

from __future__ import annotations

_STAGES = (
    ("data", "Example", False),
    ("prompt style", "[Segment]", True),
    ("tokens", "TokenizedExample", False),
    ("collate", "Batch", True),
    ("train", "StepRecord", False),
    ("generate", "Response", False),
    ("judge", "Verdict", True),
    ("report", "Summary", False),
)
"""For each stage: its name, the record that it makes, and whether a plugin can replace it."""
_WIDTH, _HEIGHT, _GAP, _PER_ROW = 150, 60, 50, 4
_PLAIN, _SEAM, _LINE = "#5b6675", "#2f5bd0", "#7d8590"
"""White text has 4.5 to 1 on both fills, and each colour has 2.5 to 1 on a white and on a dark page.

The picture has no ground of its own and asks for no colour scheme: a page's own switch does not reach into an image."""


def data_flow_svg() -> str:
    """The picture, readable on light and dark backgrounds."""
    shapes = []
    for number, (stage, record, is_seam) in enumerate(_STAGES):
        row, column = divmod(number, _PER_ROW)
        x, y = 20 + column * (_WIDTH + _GAP), 10 + row * 120
        shapes.append(_box(x, y, stage, record, is_seam))
        if number + 1 < len(_STAGES):
            shapes.append(_arrow(x, y, is_last_of_row=column == _PER_ROW - 1))
    return _HEAD + "\n".join([*shapes, _LEGEND]) + "\n</svg>\n"


_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 250" font-family="system-ui, sans-serif" role="img" '
    'aria-label="data, prompt style, tokens, collate, train, generate, judge, report">\n'
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    f'<path d="M0 0 8 4 0 8z" fill="{_LINE}"/></marker></defs>\n'
)


def _box(x: int, y: int, stage: str, record: str, is_seam: bool) -> str:
    middle = x + _WIDTH // 2
    return "\n".join(
        (
            f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{_SEAM if is_seam else _PLAIN}"/>',
            _text(middle, y + 26, stage, 15, weight="600"),
            _text(middle, y + 46, record, 13),
        )
    )


def _arrow(x: int, y: int, *, is_last_of_row: bool) -> str:
    start, level = x + _WIDTH, y + _HEIGHT // 2
    path = f"M{start} {level}h{_GAP}"
    if is_last_of_row:  # around the right edge, back to the left of the next row
        path = f"M{start} {level}h14v60H8v60h12"
    return f'<path d="{path}" fill="none" stroke="{_LINE}" stroke-width="1.5" marker-end="url(#tip)"/>'


def _text(x: int, y: int, text: str, size: int, *, weight: str = "400") -> str:
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="middle" fill="#fff"'
    return f'<text x="{x}" y="{y}" {style}>{text}</text>'


_LEGEND = f'<rect x="20" y="212" width="750" height="28" rx="6" fill="{_SEAM}"/>\n' + _text(
    395, 231, "blue: a plugin can replace it; so can the fourth piece, the model, which train and generate use", 13
)
