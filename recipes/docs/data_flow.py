"""Draws the picture of the data flow: boxes for the stages, and below them the records between stages."""

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
_WIDTH, _HEIGHT, _GAP, _PER_ROW = 150, 46, 50, 4


def data_flow_svg() -> str:
    """The picture, readable on light and dark backgrounds."""
    shapes = []
    for number, (stage, record, is_seam) in enumerate(_STAGES):
        row, column = divmod(number, _PER_ROW)
        x, y = 20 + column * (_WIDTH + _GAP), 20 + row * 130
        shapes.append(_box(x, y, stage, record, is_seam))
        if number + 1 < len(_STAGES):
            shapes.append(_arrow(x, y, is_last_of_row=column == _PER_ROW - 1))
    shapes.append(
        _text(
            20, 272, "filled: a plugin can take its place; the model is the fourth seam, used by train and generate", 13
        )
    )
    return _HEAD + "\n".join(shapes) + "\n</svg>\n"


_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 290" font-family="system-ui, sans-serif" role="img" '
    'aria-label="data, prompt style, tokens, collate, train, generate, judge, report">\n'
    '<rect width="800" height="290" rx="8" fill="#fff"/>\n'
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#444"/></marker></defs>\n'
)


def _box(x: int, y: int, stage: str, record: str, is_seam: bool) -> str:
    fill = "#dfe7fd" if is_seam else "#fff"
    middle = x + _WIDTH // 2
    return (
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{fill}" stroke="#444"/>\n'
        + _text(middle, y + 28, stage, 15, anchor="middle", weight="600")
        + "\n"
        + _text(middle, y + _HEIGHT + 20, record, 13, anchor="middle")
    )


def _arrow(x: int, y: int, *, is_last_of_row: bool) -> str:
    start, level = x + _WIDTH, y + _HEIGHT // 2
    path = f"M{start} {level}h{_GAP}"
    if is_last_of_row:  # around the right edge, back to the left of the next row
        path = f"M{start} {level}h14v82H8v48h12"
    return f'<path d="{path}" fill="none" stroke="#444" marker-end="url(#tip)"/>'


def _text(x: int, y: int, text: str, size: int, *, anchor: str = "start", weight: str = "400") -> str:
    style = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="#222"'
    return f'<text x="{x}" y="{y}" {style}>{text}</text>'
