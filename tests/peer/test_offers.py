"""What a peer is offered once more passes the filter too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from settee.ids import CollectionName
from settee.peer.hooks import AccessRequest
from settee.peer.passive import ListenerOptions, PassivePeer
from tests.simulation.world import SimPeer, World, world


@pytest.fixture
def w(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, 7) as made:
        yield made


def listen(peer: SimPeer) -> None:
    """Let a listener show to its peers what is public only."""

    def authorize(request: AccessRequest) -> bool:
        return request.write or bool(request.document.get("public"))

    names = (CollectionName.parse("_default"),)
    options = ListenerOptions(path="db", collections=names, authorize=authorize)
    peer.passive = PassivePeer(peer.db, options, peer.runtime)


@pytest.mark.parametrize("level", [2, 3, 4])
def test_who_pushes_an_older_revision_is_not_shown_a_newer_one_that_is_kept_from_it(
    w: World, level: int
) -> None:
    listener, peer = w.peer("listener"), w.peer("peer")
    listen(listener)
    protocol = f"BLIP_3+CBMobile_{level}"
    listener.db.default_collection["a"] = {"public": True, "text": "first"}
    w.sync(peer.dial(listener, subprotocol=protocol))
    document = listener.db.default_collection["a"]
    document["public"], document["text"] = False, "not for everybody"
    listener.db.default_collection.save(document)

    async def once_more() -> None:
        active = peer.dial(listener, subprotocol=protocol)
        peer.db._store.write(lambda writer: writer.run("DELETE FROM marks"))
        await active.start(reset=True)
        await active.finished()

    w.run(once_more())
    assert peer.db.default_collection["a"]["text"] == "first"
