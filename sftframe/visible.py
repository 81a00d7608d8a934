r"""Text of others made safe to show: what would steer a terminal is shown as a sign that stands for it.

Data, answers and error messages may hold any character, and a terminal obeys some: `ESC ] 0 ;` renames the window,
others move the cursor over what was said before, or answer in the user's name. Takes text, gives text of the same
length.
"""

from __future__ import annotations

import json
import re

_SIGNS = {code: 0x2400 + code for code in range(32) if code not in (0x09, 0x0A)}
_SIGNS[0x7F] = 0x2421
_SIGNS |= dict.fromkeys((*range(0x80, 0xA0), *range(0xD800, 0xE000)), 0xFFFD)

_RAW_IN_JSON = re.compile("[\x7f-\x9f\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Control characters but tab and line break as their Unicode pictures, so that they are seen and not obeyed.

    Those of Latin-1 (U+0080 to U+009F), which have no pictures, and half a surrogate pair, which has no UTF-8, become
    U+FFFD.

    >>> visible("\x1b]0;mine\x07 caf\u00e9\n")
    '␛]0;mine␇ café\n'
    """
    return text if text.isprintable() else text.translate(_SIGNS)


def json_text(document: object, *, is_ascii: bool = False) -> str:
    r"""A document as indented JSON in which all that a terminal obeys, and what has no UTF-8, is written as an escape.

    >>> print(json_text({"answer": "\x1b[2J caf\u00e9 \x9b"}))
    {
      "answer": "\u001b[2J café \u009b"
    }

    Args:
        is_ascii: write everything that is not ASCII as an escape.
    """
    text = json.dumps(document, indent=2, ensure_ascii=is_ascii)
    return _RAW_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
