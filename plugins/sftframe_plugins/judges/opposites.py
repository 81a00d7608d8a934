"""Words that mean the opposite of each other: `rise` and `fall`, `before` and `after`, `possible` and `impossible`."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from sftframe_plugins.judges.wording import SMALL_WORDS, is_negation, is_number, stem

_PAIRS = """
absent/present  absorb/emit  accept/refuse  accept/reject  add/subtract  allow/ban  allow/forbid  allow/prohibit
alive/dead  always/sometimes  ancient/modern  arrive/depart  arrive/leave  ascending/descending  attract/repel
backward/forward  before/after  above/below  begin/end  best/worst  better/worse  big/small  borrow/lend  bottom/top
bright/dark  buy/sell  cheap/expensive  clean/dirty  clockwise/counterclockwise  close/open  cold/hot  concave/convex
contract/expand  cool/warm  cool/heat  dangerous/safe  dark/light  decrease/increase  decrease/rise  deep/shallow
deny/confirm  difficult/easy  hard/easy  down/up  downward/upward  dry/wet  dull/sharp  early/late  east/west
eastern/western  empty/full  enter/leave  even/odd  external/internal  fail/succeed  fail/pass  fall/rise  false/true
far/near  fast/slow  quick/slow  female/male  few/many  fewer/more  less/more  least/most  finish/start  first/last
first/latter  freeze/melt  front/back  gain/lose  good/bad  grow/shrink  guilty/innocent  happy/sad  hard/soft
hate/love  heavy/light  high/low  higher/lower  horizontal/vertical  import/export  inside/outside  increase/drop
increase/fall  increase/reduce  join/split  large/small  large/little  left/right  lengthen/shorten  long/short
loose/tight  lose/win  loud/quiet  majority/minority  maximum/minimum  maximal/minimal  max/min  maximize/minimize
narrow/wide  negative/positive  new/old  newest/oldest  north/south  northern/southern  often/rarely  often/seldom
old/young  over/under  poor/rich  private/public  pull/push  raise/lower  remember/forget  right/wrong  correct/wrong
same/different  shallow/deep  short/tall  shut/open  simple/complicated  start/end  start/stop  strengthen/weaken
strong/weak  temporary/permanent  thick/thin  upper/lower  victory/defeat
"""
"""The pairs that answers about facts are likely to turn round. They stand here, because what is opposite cannot be
read from the letters, and a lexicon such as WordNet is ten megabytes and thinks that `Monday` and `day` are relatives.
"""

_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non")
_NO_COMPARATIVES = frozenset(["after", "over", "under", "other", "never", "lower", "upper", "better", "fewer", "water"])
_SHORTEST = 4
"""Letters of a word that may take a prefix: `undo` is not the opposite of `do`."""


def _pairs() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in _PAIRS.split():
        one, other = map(base_of, pair.split("/"))
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


@functools.lru_cache(maxsize=4096)
def base_of(word: str) -> str:
    """The stem without the ending of a comparative or an adverb: `cheaper`, `slowly`."""
    word = stem(word)
    for end in ("est", "er", "ly"):
        root = word.removesuffix(end)
        if root != word and len(root) >= 3 and word not in _NO_COMPARATIVES:
            root = root[:-1] + "y" if root[-1] == "i" else root
            root = root[:-1] if root[-1] == root[-2] and root[-1] not in "lsz" else root
            return stem(root)
    return word


_OPPOSITES = _pairs()


def is_opposing(word: str) -> bool:
    """Whether a word has an opposite in the list."""
    return base_of(word) in _OPPOSITES


@functools.lru_cache(maxsize=4096)
def _opposite_bases(word: str) -> tuple[str, ...]:
    """The bases that a word's opposites would have, the known ones first."""
    base = base_of(word)
    found = [*_OPPOSITES.get(base, ())]
    if len(word) >= _SHORTEST:
        plain = [word.removeprefix(prefix) for prefix in _PREFIXES if len(word) - len(prefix) >= _SHORTEST]
        found += map(base_of, (*plain, *(prefix + word for prefix in _PREFIXES)))
    for end, turned in (("less", "ful"), ("ful", "less")):
        if base.endswith(end):
            found.append(base.removesuffix(end) + turned)
    return tuple(other for other in found if other != base)


def opposite(word: str, others: Mapping[str, str]) -> str | None:
    """The word among others that means the opposite, if there is one.

    Args:
        others: words by their base.

    >>> opposite("slower", {"fast": "faster"}), opposite("unsafe", {"safe": "safe"}), opposite("useful", {"car": "car"})
    ('faster', 'safe', None)
    """
    return next((others[base] for base in _opposite_bases(word) if base in others), None)


def match_opposites(words: Sequence[str], expected: Sequence[str]) -> list[str]:
    """The words, with `not` and the expected word in the place of its opposite; two `not` in a row cancel.

    An opposite that stands next to the expected word itself is left alone.

    >>> match_opposites(["it", "is", "not", "unsafe"], ["it", "is", "safe"])
    ['it', 'is', 'safe']
    >>> match_opposites(["prices", "fell"], ["prices", "rose"]), match_opposites(["slower"], ["faster"])
    (['prices', 'not', 'rose'], ['not', 'faster'])
    """
    has, kept = ({base_of(word) for word in side} for side in (words, expected))
    wanted = {base_of(word): word for word in reversed(expected) if not is_number(word) and base_of(word) not in has}
    found: list[str] = []
    for word in words:
        meant = opposite(word, wanted) if wanted and not is_number(word) and base_of(word) not in kept else None
        if meant is None:
            found.append(word)
        else:
            place = _denial(found)
            if place is not None:
                del found[place]
            found += ["not", meant] if place is None else [meant]
    return found


_REACH = 4
"""A word is denied by a `not` at most so many small words before it."""


def _denial(words: Sequence[str]) -> int | None:
    """The place of the `not` that reaches to the end of the words."""
    for place in range(len(words) - 1, max(-1, len(words) - 2 - _REACH), -1):
        if is_negation(words[place]):
            return place
        if words[place] not in SMALL_WORDS:
            return None
    return None
