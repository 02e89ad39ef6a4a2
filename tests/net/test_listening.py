"""Sockets to listen on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from settee.errors import ConfigError
from settee.net.listening import listen


def test_all_families_get_the_same_free_port() -> None:
    sockets = asyncio.run(listen(None, 0))
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
        assert sockets[0].getsockname()[1] > 0
        assert sockets[0].family == socket.AF_INET
        assert all(not sock.getblocking() for sock in sockets)
    finally:
        for sock in sockets:
            sock.close()


def test_one_address_is_one_socket() -> None:
    (sock,) = asyncio.run(listen("127.0.0.1", 0))
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "field", "says"),
    [
        ("192.0.2.1", "host", "not an address of this machine"),
        ("no such host", "host", "no address or name"),
    ],
)
def test_a_host_that_is_not_here_is_a_mistake_of_the_caller(
    host: str, field: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        asyncio.run(listen(host, 0))
    assert caught.value.field == field


def test_a_port_can_be_used_again_at_once_and_not_twice() -> None:
    (first,) = asyncio.run(listen("127.0.0.1", 0))
    port = first.getsockname()[1]
    with first, pytest.raises(ConfigError, match="in use"):
        asyncio.run(listen("127.0.0.1", port))
    (again,) = asyncio.run(listen("127.0.0.1", port))
    again.close()
