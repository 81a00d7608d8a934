"""The page of an audit: complete in one file, all data as text."""

from __future__ import annotations

from sftframe.audit.examination import Audit, advice
from sftframe.formatting import fixed, percent
from sftframe.report import render_page

_MOST = 50
"""Rows that the page shows of a finding; JSON has all."""


def audit_page(found: Audit) -> str:
    """The audit as an HTML page; the same audit gives the same characters."""
    told = sum(number for _, number in found.languages)
    num_touched = len({index for finding in found.findings for index in finding.rows})
    content = {
        "title": found.source,
        "sections": {"result": "Result", "lengths": "Lengths", "findings": "Findings"},
        "headline": _headline(found, num_touched),
        "facts": [
            ("read as", found.read_as),
            *((change, f"{number:,} rows") for change, number in found.changes.items()),
            *([("parts", ", ".join(f"{n:,} {part}" for part, n in found.parts.items()))] if found.parts else []),
            ("rows with earlier turns", f"{found.num_conversations:,}"),
            ("rows with a system message", f"{found.num_systems:,}"),
            ("different instructions", f"{found.num_instructions:,}"),
            (
                "most frequent",
                "; ".join(f"{n:,} rows: {text[:80]!r}" for text, n in found.instructions) or "none twice",
            ),
            ("languages", ", ".join(f"{code} {percent(n / told)}" for code, n in found.languages[:8]) or "too short"),
            ("SHA-256 of the file", found.sha256),
        ],
        "notes": [_sentence(note) for note in found.notes],
        "counted_with": f"prompt style {found.style} and the tokenizer of {found.tokenizer}" if found.style else "",
        "ratio": fixed(found.ratio, 2),
        "advice": advice(found.ratio),
        "lengths": [{"length": length, "top": max(bar.num_rows for bar in length.bins)} for length in found.lengths],
        "findings": [
            {
                "kind": finding.kind,
                "num_rows": len(finding.sightings),
                "share": percent(len(finding.sightings) / found.num_rows),
                "shown": finding.sightings[:_MOST],
                "num_more": max(0, len(finding.sightings) - _MOST),
            }
            for finding in found.findings
        ],
        "invalid": {"shown": found.invalid[:_MOST], "num_rows": len(found.invalid)},
        "not_found": [name for name in found.looked_for if found.finding(name) is None],
    }
    return render_page("data.html.j2", content)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _headline(found: Audit, num_touched: int) -> str:
    if not num_touched:
        return f"Nothing was found in the {found.num_rows:,} rows of {found.source}"
    return f"{num_touched:,} of the {found.num_rows:,} rows of {found.source} are worth a look"
