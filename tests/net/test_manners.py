"""Who keeps breaking the protocol is not listened to for a while."""

from __future__ import annotations

import asyncio

import pytest

from settee.limits import BROKEN_LINKS_MAX, BROKEN_LINKS_S, BROKEN_WATCHED_MAX
from settee.net import manners as manners_module
from settee.net.manners import Manners
from tests.net.scene import dialled, door, plan, runner

THERE = "192.0.2.1"


@pytest.mark.sec("SEC-13")
@pytest.mark.parametrize(
    ("broken", "out"),
    [(0, False), (BROKEN_LINKS_MAX - 1, False), (BROKEN_LINKS_MAX, True), (1000, True)],
)
def test_so_many_broken_links_shut_an_address_out(broken: int, out: bool) -> None:
    manners = Manners()
    for _ in range(broken):
        manners.broke(THERE, 1.0)
    assert manners.shut_out(THERE, 2.0) is out
    assert not manners.shut_out("192.0.2.2", 2.0), "others are not concerned"


def test_a_minute_without_any_opens_the_door_again() -> None:
    manners = Manners()
    for _ in range(BROKEN_LINKS_MAX):
        manners.broke(THERE, 1.0)
    assert manners.shut_out(THERE, 0.9 + BROKEN_LINKS_S)
    assert not manners.shut_out(THERE, 1.0 + BROKEN_LINKS_S)


def test_few_in_each_minute_are_borne_for_ever() -> None:
    manners = Manners()
    for n in range(100):
        manners.broke(THERE, n * BROKEN_LINKS_S / (BROKEN_LINKS_MAX - 2))
        assert not manners.shut_out(THERE, n * BROKEN_LINKS_S / (BROKEN_LINKS_MAX - 2))


def test_what_is_remembered_is_bounded() -> None:
    manners = Manners()
    for n in range(BROKEN_WATCHED_MAX + 100):
        manners.broke(f"192.0.2.{n}", 1.0)
    assert len(manners._broken) == BROKEN_WATCHED_MAX


@pytest.mark.sec("SEC-13")
def test_a_listener_drops_who_broke_too_many_links_unheard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guards the question in `Acceptor._admit`."""
    monkeypatch.setattr(manners_module, "BROKEN_LINKS_MAX", 3)

    async def play() -> None:
        async with door() as listener:
            for _ in range(3):
                async with dialled(plan(listener.port)) as ears:
                    assert ears.link is not None
                    wire = ears.link._wire  # type: ignore[attr-defined]
                    wire.write(b"\xff\xff")  # Reserved bits, and a reserved opcode.
                    await ears.closed()
            await (await listener.link_of(2)).closed()
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            assert await reader.read() == b""
            writer.close()
            assert "broke the protocol" in listener.refusals[-1].reason
            assert listener.refusals[-1].stage == "cap"

    runner("asyncio")(play())


def test_a_link_that_ends_well_is_held_against_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manners_module, "BROKEN_LINKS_MAX", 1)

    async def play() -> None:
        async with door() as listener:
            for code in (1000, 1001, 1002, 4001):  # Whatever the peer says at its end.
                async with dialled(plan(listener.port)) as ears:
                    assert ears.link is not None
                    ears.link.close(code)
                    await ears.closed()
            assert listener.refusals == []

    runner("asyncio")(play())
