"""Templates of strangers: whatever they compute, rendering ends, and takes little memory."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sftframe import ConfigError, Example
from sftframe.prompts import rendering
from sftframe.prompts.rendering import Limits, Rendering, RenderProcess

GREEDY = [
    "{{ 'a'.ljust(3000000000) }}",
    "{{ 'a'.rjust(2500000000) }}",
    "{{ 'a'.center(2100000000) }}",
    "{{ '7'.zfill(2200000000) }}",
    "{{ '\\t'.expandtabs(2300000000) }}",
    "{{ 'a' | center(2000000000) }}",
    "{{ '%2000000000s' % 'a' }}",
    "{{ '%*s' % (1900000000, 'a') }}",
    "{{ '%2000000000d' | format(1) }}",
    "{{ '{:>2000000000}'.format('a') }}",
    "{{ 'a' | indent(2000000000, first=true) }}",
    "{{ ('a' * 900000) | replace('a', 'b' * 900000) }}",
    "{{ (['a'] * 900000) | join('b' * 900000) }}",
    "{{ ('a ' * 400000) | wordwrap(1, wrapstring='b' * 900000) }}",
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% for i in range(99999) %}{{ 'a' * 99999 }}{% endfor %}",
    "{{ range(99999) | map('string') | map('center', 99999) | list }}",
    "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('abc') }}",
    "{{ cycler(*range(99999)) }}{{ lipsum(n=99999) }}",
]
SLOW = [
    "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}"
    "{% endfor %}",
    "{% for a in range(99999) %}{% set x = range(99999) | sort | length %}{% endfor %}",
    "{% set x = 'a' * 900000 %}{% for a in range(99999) %}{% set y = x.count('b') + x.find('ab') %}{% endfor %}",
]
FIELDS = "{{ instruction }}{{ input }}\nA:\n{{ response }}"


@pytest.mark.parametrize("template", GREEDY)
def test_what_takes_memory_is_refused_and_the_next_template_is_rendered(style_of, template):
    with pytest.raises(ConfigError, match=r"memory|too large|recursion|lipsum|more than"):
        style_of("x.jinja", template + FIELDS)
    assert style_of("y.jinja", FIELDS).prompt_text(Example(index=0, instruction="Hi.", output="x")) == "Hi.\nA:\n"


def test_a_chat_template_is_limited_as_well(chat_style_of):
    with pytest.raises(ConfigError, match=r"cannot be rendered: it needs more than 512 MB of memory|too large"):
        chat_style_of("{{ (messages | string).ljust(2000000000) }}")


@pytest.mark.parametrize("template", SLOW)
def test_what_takes_processor_time_is_ended_by_the_system(template):
    process = RenderProcess(Limits(cpu_s=0.2))
    with pytest.raises(ConfigError, match=r"more than 0\.2 s"):
        Rendering("jinja", template, process).texts({}, [{}])
    assert Rendering("jinja", "{{ x }}", process).texts({}, [{"x": "a"}, {"x": "b"}]) == ["a", "b"]
    process.end()


def test_without_a_timer_the_clock_ends_it():
    process = RenderProcess(Limits(cpu_s=1000.0, clock_s=0.5))
    with pytest.raises(ConfigError, match="it takes more than"):
        Rendering("jinja", SLOW[0], process).texts({}, [{}])
    assert process.pid is None


def test_a_process_that_is_killed_is_started_again():
    process = RenderProcess()
    template = Rendering("jinja", "<{{ x }}>", process)
    os.kill(process.pid, 9)
    for _ in range(3):  # the first one may meet the dying process
        try:
            texts = template.texts({}, [{"x": 1}])
        except ConfigError:
            continue
    assert texts == ["<1>"]
    process.end()


PARENT = """
import sys, time
from sftframe.prompts.rendering import Rendering, shared_process
Rendering("jinja", "{{ x }}")
print(shared_process().pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="asks for a process by its number")
def test_it_ends_with_its_parent_whatever_that_dies_of():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(pid)


def _is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


def test_the_other_process_imports_jinja_and_nothing_else_that_is_installed():
    script = Path(rendering.__file__).with_name("sandbox.py")
    tree = ast.parse(script.read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    tops = {name.partition(".")[0] for name in imported} - {"__future__", *sys.stdlib_module_names}
    assert tops == {"jinja2"}
