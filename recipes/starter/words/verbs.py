"""Verbs with their past forms, and which of them fit between a person or animal and a thing."""

from recipes.starter.words.table import Item, read_table

VERBS = read_table("""
word past participle
go went gone
see saw seen
eat ate eaten
take took taken
give gave given
write wrote written
drive drove driven
speak spoke spoken
break broke broken
choose chose chosen
steal stole stolen
wear wore worn
draw drew drawn
throw threw thrown
grow grew grown
know knew known
fly flew flown
sing sang sung
drink drank drunk
swim swam swum
begin began begun
run ran run
come came come
sit sat sat
find found found
hold held held
tell told told
sell sold sold
buy bought bought
bring brought brought
catch caught caught
teach taught taught
think thought thought
build built built
send sent sent
lose lost lost
keep kept kept
sleep slept slept
feel felt felt
leave left left
meet met met
win won won
make made made
read read read
cut cut cut
hide hid hidden
ride rode ridden
fall fell fallen
forget forgot forgotten
play played played
walk walked walked
paint painted painted
clean cleaned cleaned
open opened opened
wash washed washed
push pushed pushed
pull pulled pulled
move moved moved
love loved loved
carry carried carried
study studied studied
stop stopped stopped
plan planned planned
drop dropped dropped
watch watched watched
chase chased chased
kick kicked kicked
cook cooked cooked
help helped helped
like liked liked
want wanted wanted
need needed needed
clap clapped clapped
laugh laughed laughed
""")
"""One row a verb: base form, simple past, past participle."""

TRANSITIVE = (
    *(
        "see",
        "take",
        "break",
        "draw",
        "throw",
        "find",
        "hold",
        "sell",
        "buy",
        "bring",
        "build",
        "lose",
        "hide",
        "paint",
    ),
    *(
        "clean",
        "open",
        "wash",
        "push",
        "pull",
        "move",
        "carry",
        "drop",
        "watch",
        "keep",
        "love",
        "like",
        "want",
        "need",
    ),
)
"""Verbs whose object can be any thing one can carry, for the sentences."""

DOUBLING = frozenset(["swim", "begin", "run", "sit", "win", "cut", "stop", "plan", "drop", "clap", "forget"])
"""Verbs that double their last letter before -ing."""

VERB = {row["word"]: row for row in VERBS}
"""Base form -> its row."""


def third_person(verb: str) -> str:
    """The verb's form behind `she`.

    >>> [third_person(verb) for verb in ("go", "carry", "wash", "play", "see")]
    ['goes', 'carries', 'washes', 'plays', 'sees']
    """
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("o", "sh", "ch", "s", "x")) else f"{verb}s"


def ing_form(verb: str) -> str:
    """The verb's present participle.

    >>> [ing_form(verb) for verb in ("make", "see", "run", "play")]
    ['making', 'seeing', 'running', 'playing']
    """
    if verb in DOUBLING:
        return f"{verb}{verb[-1]}ing"
    return f"{verb[:-1]}ing" if verb.endswith("e") and not verb.endswith("ee") else f"{verb}ing"


def forms(verb: Item) -> Item:
    """The row with the regular forms added."""
    return {**verb, "third": third_person(verb["word"]), "ing": ing_form(verb["word"])}
