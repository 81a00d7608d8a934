"""Numbers as people read them: figures, shares, durations and sizes."""

import math

ABSENT = "–"


def fixed(value: float | None, digits: int = 1) -> str:
    """The number with this many digits after the point.

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


def p_text(p_value: float | None) -> str:
    """A p-value with three digits.

    >>> p_text(0.0421), p_text(0.00001), p_text(None)
    ('0.042', '< 0.001', '–')
    """
    if p_value is None:
        return ABSENT
    return f"{p_value:.3f}" if p_value >= 0.001 else "< 0.001"


def groups_text(num_groups: int, *effective: float | None) -> str:
    """How many groups there are, and how many independent items they count like.

    Args:
        effective: of each figure that is told: its number of independent items; None = not known.

    >>> groups_text(12, 26.3), groups_text(12), groups_text(1, 1.0)
    ('12 groups, which count like 26 independent items', '12 groups, which count as units', 'one group')
    >>> groups_text(12, 26.3, 31.0, None)
    '12 groups, which count like 26 to 31 independent items'
    """
    if num_groups == 1:
        return "one group"
    known = sorted({max(1, round(number)) for number in effective if number is not None})
    if not known:
        return f"{num_groups:,} groups, which count as units"
    ends = " to ".join(f"{number:,}" for number in dict.fromkeys((known[0], known[-1])))
    return f"{num_groups:,} groups, which count like {ends} independent item{'s' * (known[-1] != 1)}"


def duration(seconds: float | None) -> str:
    """A time in two units at most.

    >>> duration(8.24), duration(42), duration(95), duration(7380), duration(400000)
    ('8.2 s', '42 s', '1 min 35 s', '2 h 3 min', '4 days 15 h')
    """
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def memory_size(num_bytes: float) -> str:
    """Bytes of memory, in binary units.

    >>> memory_size(3 * 2**30), memory_size(5e6)
    ('3.0 GiB', '4.8 MiB')
    """
    return f"{num_bytes / 2**30:.1f} GiB" if num_bytes >= 2**30 / 10 else f"{num_bytes / 2**20:.1f} MiB"


def file_size(num_bytes: float) -> str:
    """Bytes on a disk, in decimal units.

    >>> file_size(1_900_000_000), file_size(512), file_size(3_400_000)
    ('1.9 GB', '1 kB', '3.4 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.1f} {unit}"
    return f"{-(-num_bytes // 1000):.0f} kB"
