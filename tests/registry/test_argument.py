"""The text after a component's name, as in `--model hf:OWNER/NAME`."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from sftframe import ConfigError, PluginError, PromptStyle, Registry, Role, Segment, hookimpl, option
from sftframe.registry import Seam


@dataclass(frozen=True, kw_only=True)
class BookOptions:
    title: str = option("", "of which book")
    page: int = option(1, "from which page on")


class Book(PromptStyle):
    name = "book"
    summary = "writes as a book does"
    Options = BookOptions
    argument = "title"

    def segments(self, example):
        yield Segment(Role.INSTRUCTION, example.instruction)
        yield Segment(Role.RESPONSE, example.output)


class Plain(Book):
    name = "plain"
    argument = None


def plugin(*components):
    @hookimpl
    def sftframe_prompt_styles():
        return list(components)

    return SimpleNamespace(sftframe_prompt_styles=sftframe_prompt_styles)


@pytest.fixture
def registry():
    return Registry().with_plugin(plugin(Book, Plain), name="shelf")


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("book:Emma", "Emma"),
        ("book:./folder/Emma@v1", "./folder/Emma@v1"),
        (r"book:C:\books\Emma", r"C:\books\Emma"),
        ("shelf:book:Emma", "Emma"),
        ("shelf:book", ""),
        ("book:plain", "plain"),
        ("shelf:book:book", "book"),
        ("book", ""),
    ],
)
def test_the_text_after_the_name_is_the_option(registry, name, title):
    assert registry.find(Seam.PROMPT, name) is Book
    assert registry.prompt_style(name).options.title == title
    assert registry.provider(Seam.PROMPT, name).id == "shelf"


def test_other_options_are_set_beside_it(registry):
    assert registry.prompt_style("book:Emma", {"page": 7}).options == BookOptions(title="Emma", page=7)


def test_the_option_may_be_given_twice_if_both_are_equal(registry):
    assert registry.prompt_style("book:Emma", {"title": "Emma"}).options.title == "Emma"
    with pytest.raises(ConfigError, match=r"^prompt\.title is set twice: 'Emma' by --prompt book:Emma and 'Ulysses'"):
        registry.prompt_style("book:Emma", {"title": "Ulysses"})


def test_a_component_without_an_argument_has_no_text_after_its_name(registry):
    with pytest.raises(ConfigError, match=r"^no prompt style 'plain:Emma'"):
        registry.find(Seam.PROMPT, "plain:Emma")


def test_nothing_after_the_colon_is_no_name(registry):
    with pytest.raises(ConfigError, match=r"^no prompt style 'book:'; did you mean 'book'\?"):
        registry.find(Seam.PROMPT, "book:")


def test_a_text_alone_gets_the_name_that_takes_it(registry):
    with pytest.raises(ConfigError, match=r"--prompt book:jane/emma sets the title of book$"):
        registry.find(Seam.PROMPT, "jane/emma")


def test_a_plugins_own_component_wins_over_a_text():
    """A distribution that is called as another plugin's component."""
    registry = Registry().with_plugin(plugin(Book), name="shelf").with_plugin(plugin(Plain), name="book")
    assert registry.find(Seam.PROMPT, "book:plain") is Plain
    assert registry.prompt_style("shelf:book:plain").options.title == "plain"


def test_an_argument_that_is_no_option_is_refused():
    class Lost(Book):
        name = "lost"
        argument = "author"

    with pytest.raises(PluginError, match=r"Lost has the argument 'author', which is none of its options$"):
        Registry().with_plugin(plugin(Lost))


def test_a_name_with_nothing_after_its_colon_says_what_is_missing(registry):
    with pytest.raises(ConfigError, match=r"no prompt style 'book:'; did you mean 'book'.*; after book: the title is"):
        registry.find(Seam.PROMPT, "book:")


def test_the_models_own_template_is_suggested_where_it_is_nearly_named(registry):
    with pytest.raises(ConfigError, match="did you mean 'own'"):
        registry.find(Seam.PROMPT, "owm")
