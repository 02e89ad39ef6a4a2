"""A resolver decides between settee peers, too, however the messages cross.

The passive side would end a conflict by the default rule by itself, while the active side's
resolver is at it; what it ended contains the other revision, so that nobody would be asked again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from settee import Conflict, Database


def apart(tmp_path: Path, first: str) -> tuple[Database, Database]:
    one = Database("one", directory=tmp_path, durability="memory")
    two = Database("two", directory=tmp_path, durability="memory")
    one.default_collection["x"] = {"one": 0, "two": 0}
    one.replicate(two)
    for db in (one, two) if first == "one" else (two, one):
        document = db.default_collection["x"]
        document[db.name] = 1
        db.default_collection.save(document)
    return one, two


@pytest.mark.parametrize("first", ["one", "two"])
@pytest.mark.parametrize("side", ["local", "remote"])
def test_the_side_that_the_resolver_chose_stands_on_both(
    tmp_path: Path, first: str, side: str
) -> None:
    one, two = apart(tmp_path, first)
    chosen = []

    def resolve(conflict: Conflict) -> object:
        chosen.append(getattr(conflict, side).to_dict())
        return getattr(conflict, side)

    with one, two:
        for _ in range(3):
            one.replicate(two, conflict_resolver=resolve)
        assert chosen
        assert dict(one.default_collection["x"]) == dict(two.default_collection["x"]) == chosen[0]


@pytest.mark.parametrize("first", ["one", "two"])
@pytest.mark.parametrize("run", range(20))
def test_no_edit_is_lost_when_the_resolver_merges(tmp_path: Path, first: str, run: int) -> None:
    one, two = apart(tmp_path, first)

    def resolve(conflict: Conflict) -> dict[str, object]:
        return {key: max(conflict.local[key], conflict.remote[key]) for key in ("one", "two")}

    with one, two:
        for _ in range(3):
            one.replicate(two, conflict_resolver=resolve)
        assert dict(one.default_collection["x"]) == {"one": 1, "two": 1}
        assert dict(two.default_collection["x"]) == {"one": 1, "two": 1}
