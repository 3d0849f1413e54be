"""The user's own functions: found by name, named again, called with what they take."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from hwprune.errors import DeploymentError
from hwprune.user_code import call_with, load_function, name_of


def at_module_level() -> None: ...


class Callable:
    def method(self) -> None: ...

    def __call__(self, one: int) -> int:
        return one


def test_a_function_gets_as_many_arguments_as_it_takes_by_position():
    assert call_with(lambda: (), 1, 2, 3) == ()
    assert call_with(lambda one: (one,), 1, 2, 3) == (1,)
    assert call_with(lambda one, two=0: (one, two), 1, 2, 3) == (1, 2)
    assert call_with(lambda *all_: all_, 1, 2, 3) == (1, 2, 3)
    assert call_with(lambda one, *, key=5: (one, key), 1, 2, 3) == (1, 5)


def test_objects_partials_and_built_in_callables_are_called_too():
    assert call_with(Callable(), 1, 2) == 1
    assert call_with(functools.partial(lambda one, two: (one, two), 5), 1, 2) == (5, 1)
    assert call_with(max, 1, 3, 2) == 3


def test_a_function_that_needs_more_says_so():
    with pytest.raises(TypeError, match="two"):
        call_with(lambda one, two: None, 1)


def test_a_functions_name_finds_it_again():
    name = name_of(at_module_level)
    assert name == "tests.test_user_code:at_module_level"
    assert load_function(name, DeploymentError, what="test") is at_module_level


def test_what_no_name_finds_again_has_none():
    def nested() -> None: ...

    for function in (
        nested,
        lambda: None,
        Callable().method,
        Callable(),
        functools.partial(at_module_level),
    ):
        assert name_of(function) == ""


def test_a_function_that_was_replaced_since_has_no_name(monkeypatch):
    before = at_module_level
    monkeypatch.setattr(sys.modules[__name__], "at_module_level", lambda: None)
    assert name_of(before) == ""


def test_a_function_of_a_script_has_no_name():
    script = "from hwprune.user_code import name_of\ndef f(): ...\nprint(repr(name_of(f)))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert found.stdout.strip() == "''"


def test_a_file_imports_its_own_neighbours(tmp_path: Path):
    """Two tasks in one process, each with a `words.py` beside it."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "words.py").write_text(f"NAME = {name!r}")
        (tmp_path / name / "task.py").write_text(
            "from words import NAME\ndef say():\n    return NAME\n"
        )
    for name in ("one", "other", "one"):
        say = load_function(str(tmp_path / name / "task.py:say"), DeploymentError, what="test")
        assert say() == name
