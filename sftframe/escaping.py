"""Makes texts safe to print: control characters are replaced with visible signs.

Data, answers and error messages may contain any character, and a terminal obeys some. `ESC ] 0 ;` renames the window;
others overwrite earlier output, type text for the user, or show a name backwards.
"""

from __future__ import annotations

import json
import re

_SIGNS = {code: 0x2400 + code for code in range(32) if code not in (0x09, 0x0A)}
_SIGNS[0x7F] = 0x2421
_SIGNS |= dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD)

_HIDDEN = (
    r"\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
"""Invisible characters that change the direction of text (UAX 9), join it or hide it. Unicode's other format
characters are visible, or scripts and emoji need them."""

_UNSEEN = re.compile(rf"[{_HIDDEN}]|(?<=[\x00-\x7f])[\u200c\u200d]")
"""A joiner after an ASCII character has no use."""

_RAW_IN_JSON = re.compile(rf"[\x7f-\x9f\ud800-\udfff{_HIDDEN}]")


def escape_controls(text: str) -> str:
    r"""The text with control characters, except tab and line break, as their Unicode pictures.

    Control characters of Latin-1 (U+0080 to U+009F) have no pictures and become U+FFFD; so do single surrogates, which
    have no UTF-8. Invisible characters and those that change the direction of text become their number: `<U+202E>`.

    >>> escape_controls("\x1b]0;mine\x07 caf\u00e9\n")
    '␛]0;mine␇ café\n'
    >>> escape_controls("\u202egpj.exe")
    '<U+202E>gpj.exe'
    """
    if text.isprintable():
        return text
    return _UNSEEN.sub(lambda found: f"<U+{ord(found[0]):04X}>", text.translate(_SIGNS))


def json_text(document: object, *, is_ascii: bool = False) -> str:
    r"""A document as indented JSON, with escapes for control characters and for characters without UTF-8.

    >>> print(json_text({"answer": "\x1b[2J caf\u00e9 \x9b"}))
    {
      "answer": "\u001b[2J café \u009b"
    }

    Args:
        is_ascii: write everything that is not ASCII as an escape.
    """
    text = json.dumps(document, indent=2, ensure_ascii=is_ascii)
    return _RAW_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)
