"""Number formats of the report: fixed digits, a true minus sign, a dash for a missing value."""

from __future__ import annotations

import math

ABSENT = "–"


def fixed(value: float | None, digits: int = 1) -> str:
    """The number with so many digits after the point.

    >>> fixed(-0.25, 2), fixed(1234.5), fixed(None), fixed(float("nan"))
    ('−0.25', '1,234.5', '–', '–')
    """
    if value is None or not math.isfinite(value):
        return ABSENT
    text = f"{value:,.{digits}f}"
    is_zero = not any(digit in text for digit in "123456789")
    return text.replace("-", "" if is_zero else "−")


def signed(value: float | None, digits: int = 1) -> str:
    """The number with its sign, for a change.

    >>> signed(2), signed(-0.5), signed(-0.01)
    ('+2.0', '−0.5', '0.0')
    """
    text = fixed(value, digits)
    is_positive = value is not None and value > 0 and text.strip("0.,") not in ("", ABSENT)
    return f"+{text}" if is_positive else text


def percent(share: float | None) -> str:
    """A share of 0 to 1 in per cent, with a space that does not break.

    >>> percent(0.6181), percent(None)
    ('61.8\\xa0%', '–')
    """
    text = fixed(None if share is None else 100 * share)
    return text if text == ABSENT else f"{text}\N{NO-BREAK SPACE}%"


def duration(seconds: float | None) -> str:
    """Seconds in words for people.

    >>> duration(8.24), duration(95), duration(7380)
    ('8.2 s', '1 min 35 s', '2 h 3 min')
    """
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def memory(num_bytes: int) -> str:
    """Bytes in binary units.

    >>> memory(512 * 2**20), memory(3 * 2**30 // 2)
    ('512 MiB', '1.5 GiB')
    """
    return f"{num_bytes / 2**20:,.0f} MiB" if num_bytes < 2**30 else f"{num_bytes / 2**30:,.1f} GiB"
