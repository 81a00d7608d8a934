"""Families that rewrite a sentence: voice, tense, negation, questions, parts, politeness, joining."""

from random import Random

from recipes.starter.family import Ask, Family
from recipes.starter.words.nouns import KINDS
from recipes.starter.words.table import Item
from recipes.starter.words.verbs import TRANSITIVE, VERB, forms
from recipes.starter.words.world import PEOPLE

ACTORS = (
    *(KINDS["animal"]),
    "woman",
    "man",
    "child",
    "farmer",
    "teacher",
    "baker",
    "doctor",
    "painter",
    "pilot",
    "nurse",
)
THINGS = (
    *("ball", "box", "book", "letter", "cup", "key", "hat", "coat", "lamp", "bag", "map", "chair", "table", "drum"),
    *(
        "piano",
        "car",
        "bike",
        "boat",
        "basket",
        "bucket",
        "knife",
        "apple",
        "lemon",
        "rose",
        "picture",
        "bottle",
        "glove",
    ),
)


def draw_clause(rng: Random) -> Item:
    """Somebody does something to a thing: the parts from which the sentences are put together."""
    verb, other = (forms(VERB[word]) for word in rng.sample(TRANSITIVE, 2))
    person = rng.choice(PEOPLE)
    subject = person["word"] if rng.random() < 0.4 else f"the {rng.choice(ACTORS)}"
    thing, second = rng.sample(THINGS, 2)
    names = {"name": person["word"], "pronoun": person["pronoun"], "they": person["pronoun"].capitalize()}
    parts = {"subject": subject, "start": subject[0].upper() + subject[1:], "thing": thing, "second": second}
    others = {"other_past": other["past"], "order": verb["word"].capitalize()}
    return {**verb, **names, **parts, **others}


def clause_family(name: str, source: str, target: str, instructions: tuple[str, ...], label: str) -> Family:
    """A family that turns `source` into `target`.

    An instruction that holds `{source}` carries the sentence itself; the others get it as the input. `label` is what
    the pretraining text calls the result.
    """
    asks = tuple(
        Ask(text.replace("{source}", source), target) if "{source}" in text else Ask(text, target, source)
        for text in instructions
    )
    facts = (f"{source} {target}", f"{source} {label}: {target}", f"{label}: {target} Before: {source}")
    return Family(name=name, draw=draw_clause, key=source, asks=asks, facts=facts, max_rows=34)


PRESENT = "{start} {third} the {thing}."
PAST = "{start} {past} the {thing}."

FAMILIES = (
    clause_family(
        "negation",
        PRESENT,
        "{start} does not {word} the {thing}.",
        (
            "Make the sentence negative.",
            "Negate this sentence: {source}",
            "Rewrite the sentence so that it says the contrary.",
        ),
        "Negative",
    ),
    clause_family(
        "question",
        PRESENT,
        "Does {subject} {word} the {thing}?",
        (
            "Turn the statement into a question.",
            "Make a question from this sentence: {source}",
            "Rewrite the sentence as a question.",
        ),
        "Question",
    ),
    clause_family(
        "statement",
        "Did {subject} {word} the {thing}?",
        PAST,
        (
            "Turn the question into a statement.",
            "Change this question into a statement: {source}",
            "Rewrite the question as a statement.",
        ),
        "Statement",
    ),
    clause_family(
        "passive voice",
        PAST,
        "The {thing} was {participle} by {subject}.",
        (
            "Rewrite the sentence in the passive voice.",
            "Change to the passive voice: {source}",
            "Turn the active sentence into a passive one.",
        ),
        "Passive",
    ),
    clause_family(
        "active voice",
        "The {thing} was {participle} by {subject}.",
        PAST,
        (
            "Rewrite the sentence in the active voice.",
            "Change to the active voice: {source}",
            "Turn the passive sentence into an active one.",
        ),
        "Active",
    ),
    clause_family(
        "past sentence",
        PRESENT,
        PAST,
        (
            "Put the sentence into the past tense.",
            "Rewrite in the past tense: {source}",
            "Tell the sentence as if it was yesterday.",
        ),
        "Past",
    ),
    clause_family(
        "future sentence",
        PAST,
        "{start} will {word} the {thing}.",
        (
            "Put the sentence into the future tense.",
            "Rewrite in the future tense: {source}",
            "Tell the sentence as if it was tomorrow.",
        ),
        "Future",
    ),
    clause_family(
        "pronoun",
        "{name} {past} the {thing}.",
        "{they} {past} the {thing}.",
        (
            "Replace the name by a pronoun.",
            "Use he or she in place of the name: {source}",
            "Rewrite the sentence with a pronoun as the subject.",
        ),
        "With a pronoun",
    ),
    clause_family(
        "polite request",
        "{order} the {thing}.",
        "Could you please {word} the {thing}?",
        (
            "Make the order more polite.",
            "Rewrite as a polite question: {source}",
            "Turn the command into a friendly question.",
        ),
        "Polite",
    ),
    clause_family(
        "reported speech",
        '{name} says: "I {word} the {thing}."',
        "{name} says that {pronoun} {third} the {thing}.",
        (
            "Put the sentence into reported speech.",
            "Rewrite without quotation marks: {source}",
            "Report what the person says.",
        ),
        "Reported",
    ),
    clause_family(
        "joining",
        "{start} {past} the {thing}. Then {subject} {other_past} the {second}.",
        "{start} {past} the {thing} and then {other_past} the {second}.",
        ("Join the two sentences.", "Make one sentence of these two: {source}", "Combine the sentences with and."),
        "Joined",
    ),
    clause_family(
        "finding the verb",
        PAST,
        "The verb in the sentence is {past}.",
        ("Find the verb in the sentence.", "Which word is the verb? {source}", "Name the verb of the sentence."),
        "Verb",
    ),
    clause_family(
        "finding the object",
        PAST,
        "The object of the sentence is the {thing}.",
        ("Find the object of the sentence.", "Which part is the object? {source}", "Name the object of the sentence."),
        "Object",
    ),
    clause_family(
        "punctuation",
        "{start} {past} the {thing}",
        PAST,
        (
            "Add the missing full stop.",
            "Correct the punctuation of the sentence.",
            "End the sentence with the right mark.",
        ),
        "Corrected",
    ),
)
