"""What an async listener shows of its life; sessions are in test_replicator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from settee import ConfigError
from settee.aio import Database, URLEndpointListener


def test_it_needs_an_authenticator_like_the_blocking_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with Database("kitchen", directory=tmp_path) as kitchen:
            with pytest.raises(ConfigError, match="allow_anonymous=True"):
                URLEndpointListener(kitchen)

    asyncio.run(work())


def test_it_starts_stops_and_starts_again_on_its_port(tmp_path: Path) -> None:
    async def work() -> None:
        async with Database("kitchen", directory=tmp_path) as kitchen:
            listener = URLEndpointListener(kitchen, host="127.0.0.1", allow_anonymous=True)
            ports = []
            for _ in range(2):
                async with listener:
                    ports.append(listener.port)
                    assert listener.status.running
                    assert listener.urls == [f"wss://127.0.0.1:{listener.port}/kitchen"]
                assert not listener.status.running
            assert ports[0] == ports[1] != 0
            assert listener.tls_identity is not None

    asyncio.run(work())
