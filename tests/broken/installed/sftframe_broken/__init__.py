"""Plugins that do one thing wrong each, and a few that do nothing wrong. Tests put this folder on the path."""

from sftframe import PromptStyle, Role, Segment


class GoodStyle(PromptStyle):
    """Nothing is wrong with it; the plugins here spoil one thing of it."""

    name = "good"
    summary = "a style with nothing wrong"

    def segments(self, example):
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.TEMPLATE, "\n")
        yield Segment(Role.RESPONSE, example.output)
