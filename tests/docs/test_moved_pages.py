"""Old addresses of the site lead to the new ones."""

from __future__ import annotations

import doctest

from recipes.docs import moved_pages


def test_an_old_address_leads_to_the_new_page_with_and_without_scripts() -> None:
    pages = moved_pages.moved_pages({"gpu.md": "explanation/devices.md"})
    assert list(pages) == ["gpu.html"]
    assert 'new URL("explanation/devices.html"' in pages["gpu.html"]
    assert 'content="0; url=explanation/devices.html"' in pages["gpu.html"]


def test_links_are_relative_so_that_they_work_on_a_disk() -> None:
    pages = moved_pages.moved_pages({"how-to/old.md": "how-to/new.md#part", "how-to/older.md": "plugins/README.md"})
    assert '<a href="new.html#part">' in pages["how-to/old.html"]
    assert '<a href="../plugins/index.html">' in pages["how-to/older.html"]


def test_a_heading_may_have_moved_to_another_page() -> None:
    pages = moved_pages.moved_pages({"a.md": "x/a.md", "a.md#one": "y/b.md#two", "ab.md": "x/c.md"})
    assert 'headings = {"#one": "y/b.html#two"}' in pages["a.html"]
    assert "headings = {}," in pages["ab.html"]


def test_the_examples_of_addresses_hold() -> None:
    assert doctest.testmod(moved_pages) == (0, 1)
