from __future__ import annotations

import typing

from settee.sync import effects
from tests.sync.peers import MemoryStorage


def test_the_union_names_every_effect_and_the_list_of_names_too() -> None:
    classes = {
        value
        for value in vars(effects).values()
        if isinstance(value, type) and value.__module__ == effects.__name__
    }
    assert {*typing.get_args(effects.Effect), effects.Failed} == classes
    assert {c.__name__ for c in classes} | {"Effect"} == set(effects.__all__)


def test_every_effect_says_what_answers_it() -> None:
    for effect in typing.get_args(effects.Effect):
        assert "Answer:" in (effect.__doc__ or ""), effect


def test_the_tests_own_storage_carries_out_every_effect() -> None:
    for effect in typing.get_args(effects.Effect):
        assert hasattr(MemoryStorage, f"_{effect.__name__}")


def test_collections_are_numbers() -> None:
    for effect in typing.get_args(effects.Effect):
        hints = typing.get_type_hints(effect)
        assert hints.get("collection", int) is int
