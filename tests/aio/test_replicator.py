"""The peers' async skin, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from settee import Activity, CertificateError, NotFoundError, TLSIdentity
from settee.aio import Database, Replicator, URLEndpointListener

IDENTITY = TLSIdentity.anonymous()


def test_two_databases_replicate_and_their_events_are_iterated(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            Database("kitchen", directory=tmp_path) as kitchen,
            Database("van", directory=tmp_path) as van,
        ):
            kitchen_items = await kitchen.collection("_default")
            van_items = await van.collection("_default")
            await kitchen_items.put("there", {"n": 1})
            async with URLEndpointListener(
                kitchen, host="127.0.0.1", tls_identity=IDENTITY, allow_anonymous=True
            ) as listener:
                assert listener.port > 0
                replicator = Replicator(
                    van,
                    listener.urls[0],
                    continuous=True,
                    pinned_server_certificate=IDENTITY.fingerprint,
                )
                async with replicator:
                    assert await replicator.wait_for("idle", timeout=10)
                    assert (await van_items.get("there"))["n"] == 1
                    assert len(listener.connections) == 1
                    await van_items.put("here", {"n": 2})
                    async with kitchen_items.changes(since=0) as changes:
                        seen: set[str] = set()
                        async for change in changes:
                            seen.update(change.document_ids)
                            if "here" in seen:
                                break
                    assert not await replicator.wait_for("offline", timeout=0.01)
                assert replicator.status.activity is Activity.STOPPED
                one_shot = Replicator(
                    van, listener.urls[0], pinned_server_certificate=IDENTITY.fingerprint
                )
                await one_shot.start()
                activities = [status.activity async for status in one_shot.statuses()]
                assert activities[-1] is Activity.STOPPED
                result = await van.replicate(
                    listener.urls[0], pinned_server_certificate=IDENTITY.fingerprint
                )
                assert (result.pushed, result.pulled) == (0, 0)

    asyncio.run(work())


def test_what_went_wrong_is_raised_where_it_is_awaited(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            Database("kitchen", directory=tmp_path) as kitchen,
            Database("van", directory=tmp_path) as van,
            URLEndpointListener(kitchen, host="127.0.0.1", allow_anonymous=True) as listener,
        ):
            with pytest.raises(CertificateError, match="self-signed"):
                await van.replicate(listener.urls[0])
            replicator = Replicator(van, listener.urls[0], continuous=True)
            async with replicator:
                with pytest.raises(CertificateError, match="self-signed"):
                    await replicator.wait_for("idle", timeout=10)
            assert [r.stage for r in listener.refusals][-1] == "tls"

    asyncio.run(work())


def test_closing_the_database_stops_what_replicates_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with Database("kitchen", directory=tmp_path) as kitchen:
            listener = URLEndpointListener(kitchen, host="127.0.0.1", allow_anonymous=True)
            await listener.start()
            van = await Database("van", directory=tmp_path)
            replicator = Replicator(
                van, listener.urls[0], continuous=True, accept_only_self_signed=True
            )
            await replicator.start()
            assert await replicator.wait_for("idle", timeout=10)
            await van.close()
            assert replicator.status.activity is Activity.STOPPED
        assert listener.urls == []
        with pytest.raises(NotFoundError):
            await Database("nothing", directory=tmp_path, create=False)

    asyncio.run(work())
