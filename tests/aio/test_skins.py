"""Both skins have the same names, parameters, defaults and words."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from settee import aio, peer
from settee.db import blob, changes, collection, database

PAIRS = [
    (database.Database, aio.Database),
    (database.Transaction, aio.Transaction),
    (collection.Collection, aio.Collection),
    (blob.Blob, aio.Blob),
    (changes.Changes, aio.Changes),
    (peer.Replicator, aio.Replicator),
    (peer.URLEndpointListener, aio.URLEndpointListener),
    (peer.Browser, aio.Browser),
]
NAMES = [
    pytest.param(blocking, skin, name, id=f"{blocking.__name__}.{name}")
    for blocking, skin in PAIRS
    for name in sorted(each for each in vars(blocking) if not each.startswith("_"))
]


def public(cls: type) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


@pytest.mark.parametrize(("blocking", "skin"), PAIRS)
def test_the_public_names_are_the_same(blocking: type, skin: type) -> None:
    assert public(blocking) == public(skin)
    assert len(public(blocking)) > 0


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize(("blocking", "skin"), PAIRS)
def test_they_are_made_with_the_same_parameters(blocking: type, skin: type) -> None:
    if skin is not aio.Transaction and skin is not aio.Changes:  # Made by methods only.
        if skin is aio.Collection:
            return
        assert parameters(blocking.__init__) == parameters(skin.__init__)  # type: ignore[misc]


@pytest.mark.parametrize(("blocking", "skin", "name"), NAMES)
def test_each_name_has_the_same_parameters_and_words(blocking: type, skin: type, name: str) -> None:
    one, two = inspect.getattr_static(blocking, name), inspect.getattr_static(skin, name)
    assert isinstance(one, property) == isinstance(two, property)
    if not isinstance(one, property):
        assert parameters(getattr(blocking, name)) == parameters(getattr(skin, name))
    first_words = [str(each.__doc__).strip().splitlines()[0] for each in (one, two)]
    assert first_words[0] == first_words[1]


def test_what_waits_in_one_skin_is_awaited_in_the_other() -> None:
    not_awaited = {
        "disconnect",
        "open_prebuilt",
        "on_documents",
        "on_event",
        "on_refused",
        "on_status",
        "resume",
        "statuses",
        "changes",
        "document_changes",
        "on_change",
        "on_document_change",
        "transaction",
        "rollback",
        "open",
        "close",
        "from_bytes",
        "from_file",
        "from_stream",
    }
    awaited = set()
    for blocking, skin in PAIRS:
        for name in public(blocking):
            two = inspect.getattr_static(skin, name)
            function = getattr(two, "__func__", two)
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                awaited.add(name)
            elif not isinstance(two, property):
                assert name in not_awaited, name
    assert {"save", "get", "ids", "exists", "collection", "read", "save_to"} <= awaited
