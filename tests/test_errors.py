from __future__ import annotations

import inspect

import pytest

from settee import errors


def classes() -> list[type[BaseException]]:
    return [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, BaseException)
    ]


@pytest.mark.feature("DB-20")
def test_all_errors_have_one_root_and_are_exported() -> None:
    assert {c.__name__ for c in classes()} == set(errors.__all__)
    assert all(issubclass(c, errors.SetteeError) for c in classes())


def test_the_tree_drawn_in_the_docstring_is_the_tree() -> None:
    drawn = errors.__doc__
    assert drawn is not None
    for c in classes():
        assert f" {c.__name__}" in drawn, c.__name__


@pytest.mark.feature("DB-20")
@pytest.mark.parametrize("c", classes())
def test_each_error_tells_whose_fault_it_was(c: type[BaseException]) -> None:
    faults = [errors.UsageError, errors.StoreError, errors.SyncError]
    assert c is errors.SetteeError or sum(issubclass(c, fault) for fault in faults) == 1


def test_a_missing_thing_is_a_key_error_whose_text_is_a_sentence() -> None:
    error = errors.NotFoundError("there is no document 'x'")
    assert isinstance(error, KeyError)
    assert str(error) == "there is no document 'x'"
    assert str(errors.NotFoundError()) == ""


def test_only_lost_connections_are_worth_another_try_unless_said_otherwise() -> None:
    assert errors.ConnectionFailedError("x").transient
    assert not errors.AuthenticationError("x").transient
    assert errors.RefusedError("x", code=503, transient=True).transient
    assert not errors.ConnectionFailedError("x", transient=False).transient


@pytest.mark.feature("DB-20")
def test_a_protocol_error_carries_what_the_peer_is_told() -> None:
    error = errors.PeerProtocolError("bad row")
    assert (error.domain, error.code) == ("HTTP", 400)
    assert errors.ConfigError("port", "must be small").field == "port"
    assert str(errors.ConfigError("port", "must be small")) == "port: must be small"
