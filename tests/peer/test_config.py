"""Options as they were given: the same names and defaults as the constructors' parameters."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest

from settee import Database, ListenerConfig, Replicator, ReplicatorConfig, URLEndpointListener


@pytest.mark.parametrize(
    ("config", "face"), [(ReplicatorConfig, Replicator), (ListenerConfig, URLEndpointListener)]
)
def test_a_configuration_has_the_names_and_defaults_of_its_parameters(
    config: Any, face: Any
) -> None:
    parameters = [
        (p.name, p.default)
        for p in inspect.signature(face).parameters.values()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    ]
    assert sorted(parameters, key=str) == sorted(
        ((each.name, each.default) for each in dataclasses.fields(config)), key=str
    )


@pytest.mark.feature("REP-39")
def test_a_replicator_shows_what_it_was_made_with(tmp_path: Path) -> None:
    with Database("van", directory=tmp_path, durability="memory") as db:
        db.collection("shop.items", create=True)
        replicator = Replicator(
            db,
            "wss://127.0.0.1:1/db",
            continuous=True,
            collections=[db.collection("shop.items")],
            headers={"X-Key": "canary-1"},
            proxy="http://bob:canary-2@127.0.0.1:1",
        )
        config = replicator.config
        assert (config.continuous, config.replicator_type) == (True, "push_and_pull")
        assert config.collections == ("shop.items",)
        assert config.heartbeat == 60.0
        assert "canary" not in repr(config)
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.continuous = False  # type: ignore[misc]
        listener = URLEndpointListener(db, host="127.0.0.1", allow_anonymous=True, read_only=True)
        assert listener.config.read_only
        assert listener.config.host == "127.0.0.1"
