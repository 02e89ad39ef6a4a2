"""Who may come in: on virtual time, without sockets."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest

from settee import (
    ConfigError,
    ListenerCertificateAuthenticator,
    ListenerPasswordAuthenticator,
    TLSIdentity,
)
from settee.clock import InlineWorkers, SystemClock, ThreadWorkers
from settee.net.acceptor import Refuse, UpgradeRequest
from settee.net.link import PeerInfo
from settee.peer.doorkeeper import Admitted, Doorkeeper, Keys
from settee.peer.runtime import Runtime
from tests.simulation.loop import VirtualClock, VirtualLoop

VAN = TLSIdentity.create("van")
CHECKED: list[tuple[str, str]] = []


def check(user: str, password: str) -> bool:
    CHECKED.append((user, password))
    return (user, password) == ("bob", "password")


PASSWORD = ListenerPasswordAuthenticator(check)
CERTIFICATE = ListenerCertificateAuthenticator(pins=VAN)


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    CHECKED.clear()
    loop = VirtualLoop()
    made = Runtime(VirtualClock(loop, "seed"), InlineWorkers(), loop=loop)
    yield made
    made.close()
    loop.close()


def request(user: str = "bob", password: str | None = "password") -> UpgradeRequest:
    headers = {}
    if password is not None:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        headers = {"authorization": f"Basic {pair}"}
    return UpgradeRequest(
        path="/db/_blipsync",
        segments=("db", "_blipsync"),
        headers=headers,
        subprotocols=("BLIP_3+CBMobile_3",),
        user_agent="settee/sim",
        origin=None,
    )


def peer(der: bytes | None = None, address: str = "192.0.2.7") -> PeerInfo:
    return PeerInfo(address=address, port=1, certificate_der=der)


def judged(runtime: Runtime, keys: Keys, *args: Any) -> Any:
    return runtime.loop.run_until_complete(Doorkeeper(keys, runtime).judge(*args))


def test_without_keys_everybody_comes_in_as_nobody(runtime: Runtime) -> None:
    assert judged(runtime, Keys(), request(password=None), peer()) == Admitted()


@pytest.mark.sec("SEC-08")
@pytest.mark.feature("AUTH-05")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        (request(password=None), "no user name and password"),
        (request(password="wrong"), "user bob"),
        (request(user="eve"), "user eve"),
    ],
)
def test_a_wrong_password_is_refused_and_never_told(
    runtime: Runtime, given: UpgradeRequest, says: str
) -> None:
    refusal = judged(runtime, Keys.of(PASSWORD), given, peer())
    assert isinstance(refusal, Refuse)
    assert (refusal.status, refusal.reason) == (401, "wrong user name or password")
    assert says in refusal.note
    assert judged(runtime, Keys.of(PASSWORD), request(), peer()) == Admitted("bob")


@pytest.mark.sec("SEC-09")
@pytest.mark.parametrize("with_certificate", [False, True])
@pytest.mark.parametrize("password", [None, "wrong", "password"])
def test_all_that_is_configured_must_pass(
    runtime: Runtime, with_certificate: bool, password: str | None
) -> None:
    keys = Keys.of([CERTIFICATE, PASSWORD])
    der = VAN.certificate_der if with_certificate else None
    result = judged(runtime, keys, request(password=password), peer(der))
    if with_certificate and password == "password":
        assert result.user == "bob"
        assert result.identity == VAN.info
    else:
        assert isinstance(result, Refuse)
        assert result.stage in (None, "auth")
    if not with_certificate:
        assert CHECKED == [], "no password is checked of whom TLS does not know"


@pytest.mark.feature("AUTH-06")
def test_a_callback_may_refuse_what_pins_admit(runtime: Runtime) -> None:
    seen = []

    def accept(certificate: Any) -> bool:
        seen.append(certificate)
        return False

    keys = Keys.of(ListenerCertificateAuthenticator(pins=VAN, accept=accept))
    refusal = judged(runtime, keys, request(password=None), peer(VAN.certificate_der))
    assert (refusal.status, refusal.stage) == (403, "auth")
    assert "CN=van" in refusal.note
    assert "CN=van" not in refusal.reason
    assert seen == [VAN.info]


def test_junk_for_a_certificate_is_refused(runtime: Runtime) -> None:
    refusal = judged(runtime, Keys.of(CERTIFICATE), request(), peer(b"junk"))
    assert (refusal.status, refusal.stage) == (403, "auth")


@pytest.mark.parametrize("kind", ["password", "certificate"])
def test_a_check_that_raises_lets_nobody_in(
    runtime: Runtime, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> bool:
        raise ZeroDivisionError

    keys = Keys.of(
        ListenerPasswordAuthenticator(broken)
        if kind == "password"
        else ListenerCertificateAuthenticator(pins=VAN, accept=broken)
    )
    refusal = judged(runtime, keys, request(), peer(VAN.certificate_der))
    assert (refusal.status, refusal.stage) == (500, "auth")
    assert kind in refusal.note
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.sec("SEC-07")
def test_guessing_is_slowed_down_by_the_clock_and_the_right_password_waits_too(
    runtime: Runtime,
) -> None:
    door, loop = Doorkeeper(Keys.of(PASSWORD), runtime), runtime.loop

    def told(given: UpgradeRequest, address: str = "192.0.2.7") -> tuple[Any, float]:
        began_s = loop.time()
        result = loop.run_until_complete(door.judge(given, peer(address=address)))
        return result, loop.time() - began_s

    for _ in range(5):
        assert told(request(password="guess"))[1] == 0
    result, waited_s = told(request(password="guess"))
    assert result.status == 401
    assert waited_s == pytest.approx(2)
    assert told(request(), address="192.0.2.8")[1] == 0, "nobody else is held up"
    result, waited_s = told(request())
    assert result == Admitted("bob")
    assert waited_s >= 2
    assert told(request(password="guess"))[1] == 0, "the record is clear"

    async def flood() -> list[Any]:
        tries = (door.judge(request("carol", "guess"), peer()) for _ in range(60))
        return await asyncio.gather(*tries)

    CHECKED.clear()
    began_s = loop.time()
    statuses = [result.status for result in loop.run_until_complete(flood())]
    assert statuses.count(429) > 45
    assert len(CHECKED) <= 6 + 4, "what is not checked costs nothing"
    assert loop.time() - began_s <= 9
    refusal = loop.run_until_complete(door.judge(request("carol", "guess"), peer()))
    assert refusal.status in (401, 429)


@pytest.mark.sec("SEC-07")
def test_no_more_than_two_passwords_are_checked_at_once() -> None:
    import threading

    at_once, most = 0, 0
    lock, go_on = threading.Lock(), threading.Event()

    def slow(user: str, password: str) -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
            if at_once == 2:
                go_on.set()
        assert go_on.wait(5)
        with lock:
            at_once -= 1
        return True

    runtime = Runtime(SystemClock(), ThreadWorkers())
    door = Doorkeeper(Keys.of(ListenerPasswordAuthenticator(slow)), runtime)

    async def all_at_once() -> list[Any]:
        tries = (door.judge(request(f"user{n}"), peer()) for n in range(8))
        return await asyncio.gather(*tries)

    results = runtime.submit(all_at_once()).result(10)
    assert [r.user for r in results] == [f"user{n}" for n in range(8)]
    assert most == 2
    runtime.close()


def test_a_client_that_goes_away_while_it_is_checked_leaves_the_door_open() -> None:
    import threading

    begun, go_on = threading.Event(), threading.Event()

    def slow(user: str, password: str) -> bool:
        begun.set()
        return go_on.wait(10)

    runtime = Runtime(SystemClock(), ThreadWorkers())
    door = Doorkeeper(Keys.of(ListenerPasswordAuthenticator(slow)), runtime)

    async def come_and_go() -> Any:
        leaving = [asyncio.ensure_future(door.judge(request(f"u{n}"), peer())) for n in range(6)]
        while not begun.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0.001)
        for each in leaving:
            each.cancel()
        await asyncio.wait(leaving)
        go_on.set()
        return [await door.judge(request(), peer()) for _ in range(4)]

    assert runtime.submit(come_and_go()).result(10) == [Admitted("bob")] * 4
    runtime.close()


def test_keys_are_one_of_each_kind() -> None:
    assert Keys.of(None).are_none
    assert Keys.of((PASSWORD, CERTIFICATE)) == Keys(PASSWORD, CERTIFICATE)
    for wrong in (["bob"], [PASSWORD, PASSWORD], "bob", ListenerPasswordAuthenticator):
        with pytest.raises(ConfigError, match="authenticator"):
            Keys.of(wrong)  # type: ignore[arg-type]
