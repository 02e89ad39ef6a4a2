"""What `settee` and `settee.aio` offer is what they say, and no name means two things."""

from __future__ import annotations

import inspect
import subprocess
import sys
from types import ModuleType

import pytest

import settee
import settee.aio
from settee import errors

PUBLIC = [settee, settee.aio]


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_all_names_exist_and_are_listed_once(module: ModuleType) -> None:
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name), name


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_nothing_public_is_left_out(module: ModuleType) -> None:
    found = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert found == set(module.__all__)


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_every_public_thing_says_what_it_is(module: ModuleType) -> None:
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), name


def test_every_error_is_public() -> None:
    for name in errors.__all__:
        assert getattr(settee, name) is getattr(errors, name)


def test_the_async_skin_has_no_name_that_the_blocking_one_lacks() -> None:
    assert set(settee.aio.__all__) <= set(settee.__all__)


@pytest.mark.slow
def test_importing_settee_loads_no_command_line_library() -> None:
    """Starts a Python process, which takes about a second."""
    code = "import sys, settee; print([m for m in ('typer', 'rich') if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.strip() == "[]"
