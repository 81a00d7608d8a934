"""Families about verbs: the past and the -ing form."""

from recipes.starter.family import Ask, Family
from recipes.starter.words.verbs import VERBS, forms

ALL_FORMS = tuple(forms(verb) for verb in VERBS)

FAMILIES = (
    Family(
        name="past tense",
        items=ALL_FORMS,
        max_rows=45,
        asks=(
            Ask("What is the past tense of {word}?", "The past tense of {word} is {past}."),
            Ask("Give the past tense of the verb.", "The past tense of {word} is {past}.", "{word}"),
            Ask(
                "Complete the sentence: Today they {word}, yesterday they", "Today they {word}, yesterday they {past}."
            ),
            Ask("Put the verb {word} into the simple past.", "The past tense of {word} is {past}."),
        ),
        facts=(
            "The past tense of {word} is {past}.",
            "Today they {word}, yesterday they {past}.",
            "They {word} now. They {past} before.",
            "Its forms are {word}, {past} and {participle}.",
        ),
    ),
    Family(
        name="ing form",
        items=ALL_FORMS,
        max_rows=35,
        asks=(
            Ask("What is the -ing form of {word}?", "The form of {word} with -ing is {ing}."),
            Ask("Write the present participle of the verb.", "The form of {word} with -ing is {ing}.", "{word}"),
            Ask("Say that they {word} right now.", "Right now they are {ing}."),
        ),
        facts=(
            "The form of {word} with -ing is {ing}.",
            "They often {word}. Right now they are {ing}.",
            "They began to {word}, and they are still {ing}.",
        ),
    ),
)
