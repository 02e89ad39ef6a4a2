from __future__ import annotations

from pathlib import Path

import pytest

from settee import CollectionConfig, ConfigError, Database, Replicator
from settee.ids import CollectionName
from tests.simulation.world import world

DEFAULT = CollectionName.parse("_default")


@pytest.mark.feature("REP-34", "REP-35")
def test_what_was_not_pushed_yet_is_pending_deletions_included(tmp_path: Path) -> None:
    with world(tmp_path, 1) as w:
        a, b = w.peer("a"), w.peer("b")
        items = a.db.default_collection
        for n in range(3):
            items[f"a{n}"] = {"n": n}
        replicator = a.dial(b)
        assert replicator.pending(DEFAULT) == {"a0", "a1", "a2"}
        w.sync(replicator)
        assert replicator.pending(DEFAULT) == set()
        b.db.default_collection["from-b"] = {"n": 1}
        w.sync(replicator)
        assert replicator.pending(DEFAULT) == set(), "what was pulled is not to be pushed back"
        items["a1"] = {"n": "changed"}
        del items["a2"]
        assert replicator.pending(DEFAULT) == {"a1", "a2"}
        w.sync(replicator)
        assert replicator.pending(DEFAULT) == set()


def test_filters_count(tmp_path: Path) -> None:
    with world(tmp_path, 2) as w:
        a, b = w.peer("a"), w.peer("b")
        for n in range(4):
            a.db.default_collection[f"a{n}"] = {"n": n}
        config = CollectionConfig(
            collection="_default",
            document_ids=("a0", "a1", "a2"),
            push_filter=lambda document, flags: document["n"] != 1,
        )
        replicator = a.dial(b, config=config)
        assert replicator.pending(DEFAULT) == {"a0", "a2"}
        w.sync(replicator)
        assert replicator.pending(DEFAULT) == set()
        assert set(b.db.default_collection) == {"a0", "a2"}


def test_a_collection_that_is_not_pushed_has_nothing_to_tell(tmp_path: Path) -> None:
    with Database("a", directory=tmp_path) as db:
        db.default_collection["x"] = {"n": 1}
        url = "ws://127.0.0.1:1/db"
        assert Replicator(db, url).pending() == {"x"}
        assert Replicator(db, url).is_pending("x")
        assert not Replicator(db, url).is_pending("y")
        with pytest.raises(ConfigError, match="not replicated"):
            Replicator(db, url).pending("shop.items")
        with pytest.raises(ConfigError, match="pulls"):
            Replicator(db, url, replicator_type="pull").pending()
