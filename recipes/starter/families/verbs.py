"""Families about verbs: the past, the participles, the form behind `she`."""

from recipes.starter.family import Ask, Family
from recipes.starter.words.verbs import VERBS, forms

ALL_FORMS = tuple(forms(verb) for verb in VERBS)

FAMILIES = (
    Family(
        name="past tense",
        items=ALL_FORMS,
        max_rows=48,
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
            "We did not {word} again, but we {past} once.",
        ),
    ),
    Family(
        name="participle",
        items=ALL_FORMS,
        max_rows=33,
        asks=(
            Ask("What is the past participle of {word}?", "The past participle of {word} is {participle}."),
            Ask("Give the past participle.", "The past participle of {word} is {participle}.", "{word}"),
            Ask("Complete the sentence: They {word} now, and they have often", "They have often {participle}."),
        ),
        facts=(
            "The past participle of {word} is {participle}.",
            "They {word} now. They have often {participle}.",
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
    Family(
        name="third person",
        items=ALL_FORMS,
        max_rows=35,
        asks=(
            Ask("Complete the sentence: They {word}, and she", "They {word}, and she {third} too."),
            Ask("Which form of {word} goes with she?", "The form that goes with she is {third}."),
            Ask("Change the verb so that it goes with she.", "The form that goes with she is {third}.", "they {word}"),
        ),
        facts=(
            "They {word}, and she {third} too.",
            "The verb is {word}. The form that goes with she is {third}.",
            "We {word}, he {third}.",
        ),
    ),
)
