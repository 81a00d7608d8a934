"""The prompt style `vicuna`: questions and answers on one line, as in Vicuna 1.1's conversations."""

from sftframe import PromptStyle, Role, Segment, hookimpl


class Vicuna(PromptStyle):
    name = "vicuna"
    summary = "USER and ASSISTANT on one line, as in Vicuna 1.1"

    joins_turns = True

    def segments(self, example):
        if example.system:
            yield Segment(Role.SYSTEM, example.system)
            yield Segment(Role.TEMPLATE, " ")
        yield Segment(Role.TEMPLATE, "USER: ")
        yield Segment(Role.INSTRUCTION, example.instruction)
        if example.input:
            yield Segment(Role.TEMPLATE, "\n")
            yield Segment(Role.INPUT, example.input)
        yield Segment(Role.TEMPLATE, " ASSISTANT:")
        yield Segment(Role.RESPONSE, " " + example.output)


@hookimpl
def sftframe_prompt_styles():
    return [Vicuna]
