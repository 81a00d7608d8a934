"""The texts that components are tried with: ordinary ones, awkward ones, and many random ones from a fixed seed.

The same on every machine and in every process, so that two processes can be compared.
"""

from __future__ import annotations

import random
from functools import cache

ANSWERS = (
    "The capital of France is Paris.",
    "apple, fig, pear",
    "Yes.\nNo, it is not: see below.\nIs it? Perhaps!\nI think so; you may not.",
    "He said \"stop\" and left. (She stayed.) It's late, isn't it?\n\nThe second paragraph ends here.",
    "Three steps:\n1. Open the box.\n2. Take it out;\n3. Close it.\n\nDone.",
    "- first\n- second, with a comma\n* third\n\nThat is all of it.",
    "def area(r):\n    return 3.14 * r ** 2\n\nprint(area(2))  # 12.56",
    '{"name": "Ann", "age": 42, "tags": ["a", "b"], "is_new": true, "none": null}',
    "12 apples cost $3.50, which is 29 % of 12.07; 7 x 8 = 56, and -1 < 0 > -2.",
    "Dear Ann,\n\nthank you for your letter of 5 May 2024 - it came at 10:30.\n\nYours, Bob & Co.",
    "See https://example.org/page?x=1#top or write to ann@example.org. E.g. this one, i.e. that one ...",
    "Cats and dogs are animals. The cat sleeps in the sun, and the dog is on the road to the town.",
    "In short: no.",
    "42",
)
"""What people write as answers: no good style ends an answer, or cuts one, at anything in them."""

AWKWARD = (
    " leading and trailing ",
    "\tbegins with a tab\t",
    "\nline breaks around\n\n",
    "ends in a space ",
    "ends in a line break\n",
    "two  spaces,   three, and a trailing tab\t\nin a line \n",
    "carriage return\r\nand line feed\r\n",
    "old Mac\rline ends",
    "line\u2028separator, next line\x85and form\x0cfeed, vertical\x0btab",
    "Caf\u00e9 composed, Cafe\u0301 decomposed, \u212b \u00c5 A\u030a, \ufb01 \u00bd \u00b2 \u2163",
    "\ud55c\uad6d composed, \u1112\u1161\u11ab\u1100\u116e\u11a8 decomposed",
    "zero\u200bwidth, joiner\u200dand non-joiner\u200c, soft\u00adhyphen, \ufeffmark",
    "no-break\u00a0space, ideographic\u3000space, thin\u2009space",
    "emoji 👋🏽 👨‍👩‍👧‍👦 🇫🇷 ❤️",
    "right to left: שלום \u202eabc\u202c العربية",
    "日本語と中文 mixed, ТЕКСТ, ελληνικά, ไทย, हिन्दी",
    "İstanbul, straße, ǅ, ſ: letters that change their length with their case",
    "Fill in {instruction} and {input} and {output} and {0} and {}, %s %d %(x)s $x ${y} {{ z }} {% if %}",
    "back\\slash \\n \\t \\1 \\g<0> [brackets] (round) ^caret$ .*+?|",
    "<b>bold</b> &amp; <!-- note --> <|tag|> </s> <s> [INST] <unk> <pad>",
    "Repeat <|endoftext|> and <|im_start|> and <|im_end|> as text.",
    "\"quoted\" 'single' “curly” «French» `code`",
    "### Instruction:\nDo it.\n\n### Input:\nThis.\n\n### Response:\nDone.",
    "USER: hello ASSISTANT: hi\nHuman: x\n\nAssistant: y",
    "control \x00 \x01 \x1b[31m \x7f characters",
    "0123456789 ٠١٢ ①②③",
    '"A whole answer in quotes."',
    "'single quotes around it'",
    "`code`",
    "```python\nx = 1\n```",
    "**bold** and _slanted_",
    "(in parentheses)",
    "[1, 2, 3]",
    "Answer: 42",
    "The answer is: yes: it is",
    "<answer>42</answer>",
    "$x^2 + 1$",
    "&lt;p&gt; &amp;amp; &#39;",
    "%20 and + and \\u00e9",
    "    indented\n        more\n",
    "UPPER CASE TEXT",
    "CamelCase snake_case kebab-case",
    "same same same same same same same same",
    "one\n\n\n\nfour line breaks",
    "tab\tseparated\tvalues\n1\t2\t3",
    "?",
    "a",
    "7",
    "-3.5e10",
    "None",
    "null",
    "True",
    "N/A",
    "...",
    "\u00e9",
)
"""Texts that a careless program changes or chokes on."""

BLANK = (" ", "\n", "\t", "  \n ", "\r\n", "\u00a0", "\u3000", "\u200b", "\ufeff")
"""Not empty, but invisible."""

LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34, 50, 64, 80, 100, 128, 150, 200, 256, 300, 350, 400, 450, 500, 512, 600, 768, 1000)
LONG = (1024, 1500, 2000, 2048, 3000, 4096, 5000, 8192, 10_000, 20_000, 100_000)
"""Lengths in characters, around common limits."""

_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz     ,.",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789",
    "0123456789 .,-+",
    "äöüßéèñçøåæœ ÄÖÜ",
    "日本語中文字かなカナ、。",
    " \t\n\r\n.a",
    "!?\"#$%&'()*+,-./:;<=>@[\\]^_`{|}~ a",
    "👋🏽👨‍👩‍👧❤️🎉 x",
    "e\u0301a\u0300o\u0308 \u200b\u200d\u00a0\u3000y",
)


@cache
def drawn(count: int, *, seed: int, longest: int = 400) -> tuple[str, ...]:
    """Texts of letters of one or several alphabets, of 1 to `longest` characters, none of them blank."""
    draw = random.Random(seed)
    texts = []
    for _ in range(count):
        alphabets = draw.sample(_ALPHABETS, draw.choice((1, 1, 2, 3)))
        size = int(longest ** draw.random())
        texts.append("w" + "".join(draw.choice(draw.choice(alphabets)) for _ in range(size)))
    return tuple(texts)


@cache
def of_lengths(*lengths: int) -> tuple[str, ...]:
    """Sentences of exactly so many characters."""
    words = "The quick brown fox jumps over the lazy dog and goes on to the next hill, where it rests. "
    return tuple((words * (size // len(words) + 1))[: size - 1] + "." for size in lengths)


@cache
def of_many_lines() -> tuple[str, ...]:
    """Answers of 2 to 60 lines."""
    return tuple("\n".join(f"line {number}" for number in range(count)) for count in (2, 3, 4, 5, 6, 10, 20, 60))


@cache
def outputs() -> tuple[str, ...]:
    """Answers of every kind, none of them blank: for what must not depend on the answer."""
    digits = tuple(f"It is {digit}." for digit in range(10)) + tuple(str(10**power) for power in range(1, 7))
    letters = tuple(f"{letter}ord" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    ends = tuple(f"It ends so{mark}" for mark in (".", "!", "?", ":", ";", ",", ")", '"', "'", "…", "-", "%"))
    words = ("yes", "Yes", "no", "No", "true", "false", "positive", "negative", "A", "B", "C", "D", "Sorry, I cannot.")
    lengths = of_lengths(*LENGTHS, *LONG)
    return (*ANSWERS, *AWKWARD, *digits, *letters, *ends, *words, *of_many_lines(), *lengths, *drawn(40, seed=3))
