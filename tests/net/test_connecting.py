"""Names, addresses, and which failures are worth another try."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

from settee.errors import ConnectionFailedError
from settee.net import connecting
from settee.net.connecting import Route, connect, waits_for_network
from tests.net.scene import Run, free_port


def route(host: str = "127.0.0.1", port: int = 1, connect_s: float = 4.0) -> Route:
    return Route(host, port, connect_s, None, f"{host}:{port}")


def test_connects_to_an_address_at_once_with_nagle_off(run: Run) -> None:
    async def play() -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            sock = await connect(route(port=listening.getsockname()[1]))
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert not sock.getblocking()
            sock.close()

    run(play())


def test_one_address_that_answers_is_enough(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            port = listening.getsockname()[1]
            addresses = [
                connecting._Address(socket.AF_INET, ("127.0.0.1", free_port())),
                connecting._Address(socket.AF_INET, ("127.0.0.1", port)),
            ]

            async def resolve(route: Route) -> list[Any]:
                return addresses

            monkeypatch.setattr(connecting, "_resolve", resolve)
            sock = await connect(route(host="kitchen", port=port))
            assert sock.getpeername()[1] == port
            sock.close()

    run(play())


def test_an_address_that_never_answers_does_not_hold_up_the_next(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        stuck: list[bool] = []

        async def attempt(route: Route, address: Any) -> socket.socket:
            if address.sockaddr[0] == "192.0.2.1":
                try:
                    await asyncio.Event().wait()
                finally:
                    stuck.append(True)
            return socket.socket()

        async def resolve(route: Route) -> list[Any]:
            return [
                connecting._Address(socket.AF_INET, ("192.0.2.1", 1)),
                connecting._Address(socket.AF_INET, ("192.0.2.2", 1)),
            ]

        monkeypatch.setattr(connecting, "_resolve", resolve)
        monkeypatch.setattr(connecting, "_try", attempt)
        monkeypatch.setattr(connecting, "DIAL_STAGGER_S", 0.01)
        sock = await connect(route())
        sock.close()
        assert stuck == [True]

    run(play())


def test_families_take_turns(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(family: int, address: str) -> tuple[Any, ...]:
        return family, socket.SOCK_STREAM, 6, "", (address, 1)

    async def play() -> None:
        async def getaddrinfo(*args: object, **kwargs: object) -> list[tuple[Any, ...]]:
            return [
                found(socket.AF_INET6, "a::1"),
                found(socket.AF_INET6, "a::2"),
                found(socket.AF_INET, "10.0.0.1"),
            ]

        class Loop:
            pass

        loop = Loop()
        loop.getaddrinfo = getaddrinfo  # type: ignore[attr-defined]
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
        try:
            resolving = connecting._resolve(route("kitchen.invalid"))
            with pytest.raises(StopIteration) as caught:
                resolving.send(None)
        finally:
            monkeypatch.undo()
        addresses = [address.sockaddr[0] for address in caught.value.value]
        assert addresses == ["a::1", "10.0.0.1", "a::2"]

    monkeypatch.setattr(asyncio, "timeout", lambda seconds: _NoTimeout())
    run(play())


class _NoTimeout:
    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *exc: object) -> None:
        pass


def test_tells_about_every_address_that_was_tried() -> None:
    refused = connecting._Address(socket.AF_INET6, ("::1", 1, 0, 0))
    silent = connecting._Address(socket.AF_INET, ("10.0.0.1", 1))
    error = connecting._failed(
        route("kitchen"),
        [(silent, OSError(errno.EHOSTUNREACH, "x")), (refused, OSError(errno.ECONNREFUSED, "x"))],
    )
    assert "10.0.0.1: no route to that host" in str(error)
    assert "::1: nothing listens there" in str(error)
    assert (error.domain, error.code, error.transient) == ("Network", 19, True)


@pytest.mark.parametrize(
    ("number", "code", "transient", "waits"),
    [
        (errno.ECONNREFUSED, 19, True, False),
        (errno.ECONNRESET, 18, True, False),
        (errno.ETIMEDOUT, 3, True, True),
        (errno.ENETUNREACH, 21, False, True),
        (errno.EHOSTUNREACH, 24, False, True),
        (errno.EADDRNOTAVAIL, 25, False, True),
    ],
)
def test_failures_have_the_engines_numbers(
    number: int, code: int, transient: bool, waits: bool
) -> None:
    address = connecting._Address(socket.AF_INET, ("10.0.0.1", 1))
    error = connecting._failed(route(), [(address, OSError(number, "x"))])
    assert (error.domain, error.code) == ("Network", code)
    assert error.transient is transient
    assert waits_for_network(error) is waits


def test_an_attempt_has_its_own_deadline() -> None:
    address = connecting._Address(socket.AF_INET, ("10.0.0.1", 1))
    error = connecting._failed(route(connect_s=4), [(address, TimeoutError())])
    assert (error.code, error.transient) == (3, True)
    assert "no answer within 4 s" in str(error)


@pytest.mark.parametrize(
    ("exc", "code", "transient"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), 2, False),
        (socket.gaierror(socket.EAI_AGAIN, "x"), 1, True),
        (TimeoutError(), 1, True),
        (UnicodeError("label too long"), 2, False),
    ],
)
def test_a_name_that_is_not_found_differs_from_a_resolver_that_is_not_there(
    exc: Exception, code: int, transient: bool
) -> None:
    error = connecting._unresolved(route("kitchen"), exc)
    assert (error.domain, error.code, error.transient) == ("Network", code, transient)
    assert "kitchen" in str(error)
    assert waits_for_network(error)


def test_a_name_that_can_not_be_one_is_refused(run: Run) -> None:
    async def play() -> None:
        with pytest.raises(ConnectionFailedError, match="can't be the name"):
            await connect(route("a" * 70 + ".example"))

    run(play())
