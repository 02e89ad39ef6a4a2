"""The network side of the async skin: credentials, proxies, several databases, suspending."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from settee import (
    Activity,
    BasicAuthenticator,
    BearerAuthenticator,
    ClientCertificateAuthenticator,
    ListenerCertificateAuthenticator,
    ListenerPasswordAuthenticator,
    SessionAuthenticator,
    TLSIdentity,
)
from settee.aio import Database, Replicator, URLEndpointListener
from tests.peer.scene import IDENTITY, LittleProxy, remembering

PIN: dict[str, Any] = {"pinned_server_certificate": IDENTITY, "max_attempts": 1}
VAN = TLSIdentity.create("van")

Scene = Callable[[Database, Database], Awaitable[None]]


@pytest.fixture
def played(tmp_path: Path) -> Callable[[Scene], None]:
    """Run a scene with two open databases, one of which holds a document."""

    def play(scene: Scene) -> None:
        async def whole() -> None:
            async with (
                Database("kitchen", directory=tmp_path, durability="memory") as kitchen,
                Database("van", directory=tmp_path, durability="memory") as van,
            ):
                await kitchen.default_collection.put("apples", {"n": 1})
                await scene(kitchen, van)

        asyncio.run(asyncio.wait_for(whole(), 30))

    return play


@contextlib.asynccontextmanager
async def serving(dbs: Any, **options: Any) -> AsyncIterator[tuple[URLEndpointListener, Any]]:
    given = {"host": "127.0.0.1", "tls_identity": IDENTITY, **options}
    if "authenticator" not in given:
        given["allow_anonymous"] = True
    listener = URLEndpointListener(dbs, **given)
    requests = remembering(listener._blocking)
    async with listener:
        yield listener, requests


@pytest.mark.feature("AUTH-02", "AUTH-04", "REP-15", "REP-20", "REP-38")
def test_credentials_cookies_proxy_and_name_go_along(played: Callable[[Scene], None]) -> None:
    async def token() -> str:
        return "tok"

    async def scene(kitchen: Database, van: Database) -> None:
        async with serving(kitchen) as (listener, requests):
            requests.answer = (("Set-Cookie", "route=7; Path=/; Max-Age=60"),)
            url = listener.urls[0]
            with LittleProxy() as proxy:
                result = await van.replicate(
                    url,
                    authenticator=[SessionAuthenticator("s1"), BearerAuthenticator(token)],
                    proxy=proxy.url,
                    user_agent="MyApp/1.0",
                    local_address="127.0.0.1",
                    **PIN,
                )
                assert result.pulled == 1
                assert len(proxy.heads) == 1
            await van.replicate(url, **PIN)
            assert requests.cookies() == ["SyncGatewaySession=s1", "route=7"]
            assert requests[0]["authorization"] == "Bearer tok"
            assert requests[0]["user-agent"].endswith(" MyApp/1.0")

    played(scene)


@pytest.mark.feature("AUTH-03", "AUTH-06", "AUTH-07", "REP-39")
def test_certificate_and_password_are_asked_for_both(played: Callable[[Scene], None]) -> None:
    async def scene(kitchen: Database, van: Database) -> None:
        authenticator = [
            ListenerCertificateAuthenticator(pins=VAN),
            ListenerPasswordAuthenticator(lambda user, password: password == "right"),
        ]
        async with serving(kitchen, authenticator=authenticator) as (listener, _):
            shown = [ClientCertificateAuthenticator(VAN), BasicAuthenticator("bob", "right")]
            async with Replicator(
                van, listener.urls[0], continuous=True, authenticator=shown, **PIN
            ) as replicator:
                assert await replicator.wait_for("idle", timeout=10)
                (connection,) = listener.connections
                assert (connection.user, connection.identity) == ("bob", VAN.info)
                assert replicator.config.continuous
                assert listener.config.authenticator == authenticator

    played(scene)


@pytest.mark.feature("END-02")
def test_another_open_database_is_a_target(played: Callable[[Scene], None]) -> None:
    async def scene(kitchen: Database, van: Database) -> None:
        result = await van.replicate(kitchen)
        assert (result.pulled, result.errors) == (1, ())
        async with Replicator(van, kitchen, continuous=True) as replicator:
            assert await replicator.wait_for("idle", timeout=10)

    played(scene)


@pytest.mark.feature("REP-29", "REP-30")
def test_it_is_suspended_and_resumed(played: Callable[[Scene], None]) -> None:
    async def scene(kitchen: Database, van: Database) -> None:
        async with (
            serving(kitchen) as (listener, _),
            Replicator(van, listener.urls[0], continuous=True, **PIN) as replicator,
        ):
            assert await replicator.wait_for("idle", timeout=10)
            await replicator.suspend()
            assert await replicator.wait_for("offline", timeout=10)
            assert replicator.status.activity is Activity.OFFLINE
            replicator.resume()
            assert await replicator.wait_for("idle", timeout=10)

    played(scene)


@pytest.mark.feature("LIS-16", "LIS-18")
def test_several_databases_are_served_and_documents_told(
    played: Callable[[Scene], None], tmp_path: Path
) -> None:
    async def scene(kitchen: Database, van: Database) -> None:
        told: asyncio.Queue[Any] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        async with Database("office", directory=tmp_path, durability="memory") as office:
            await office.default_collection.put("pens", {"n": 1})
            listener = URLEndpointListener(
                [kitchen, office],
                host="127.0.0.1",
                path={"office": "desk"},
                tls_identity=IDENTITY,
                allow_anonymous=True,
            )
            listener.on_documents(
                lambda *event: loop.call_soon_threadsafe(told.put_nowait, event) and None
            )
            async with listener:
                assert [url.rpartition("/")[2] for url in listener.urls] == ["kitchen", "desk"]
                assert (await van.replicate(listener.urls[1], **PIN)).pulled == 1
                connection, event = await asyncio.wait_for(told.get(), 10)
                assert connection.database == "office"
                assert [d.doc_id for d in event.documents] == ["pens"]

    played(scene)
