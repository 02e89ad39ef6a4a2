"""The matrix, second part: whom a dialler trusts (64 cells).

At the other end is a hostile recorder: it finishes any handshake and writes down what it is sent.
Whoever is not trusted must not get a byte of the request, nor the password in it. Each cell is
played once more against a listener of ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from settee.errors import CertificateError, ConfigError, RefusedError, SyncError
from settee.net.dialer import dial
from settee.net.tls import ServerTLS, Trust, server_context
from tests.attack.exhibits import (
    CA,
    CLIENT_AUTH,
    MIDDLE,
    PINNED,
    STRANGER_CA,
    Exhibit,
    made,
    with_sha1,
)
from tests.net.scene import dialled, door, plan, runner


class Shown(NamedTuple):
    """What a listener shows, what is pinned, and what comes of it by how it is judged."""

    exhibit: Exhibit
    pin: bytes
    default: int
    """0: trusted; else the number of the error, of Couchbase Lite's domain Network."""
    only_self_signed: int
    pinned: int
    roots: int
    host: str = "localhost"


OTHER = made("other")
SAME_KEY = made(key=PINNED.key)


def own(exhibit: Exhibit, *judged: int, host: str = "localhost") -> Shown:
    """One that is itself pinned where pins decide."""
    return Shown(exhibit, exhibit.pin, *judged, host)


# Errors: 7 expired, 8 not trusted, 15 another name.
SHOWN: dict[str, Shown] = {
    "CA ok": own(made(by=CA), 0, 8, 0, 0),
    "wrong name": own(made("x", by=CA, hosts=("elsewhere.example",)), 15, 8, 0, 15),
    "IP SAN": own(made(by=CA, hosts=("127.0.0.1",)), 0, 8, 0, 0, host="127.0.0.1"),
    "no SAN": own(made(by=CA, hosts=()), 15, 8, 0, 15),
    "expired": own(made(by=CA, days=(-20, -10)), 7, 7, 7, 7),
    "not yet valid": own(made(by=CA, days=(10, 20)), 7, 7, 7, 7),
    "self-signed": Shown(made(), OTHER.pin, 8, 0, 8, 8),
    "self-signed, pinned": own(PINNED, 8, 0, 0, 8),
    "another of the pinned key": Shown(SAME_KEY, PINNED.pin, 8, 0, 8, 8),
    "pinned, foreign chain": own(
        Exhibit(PINNED.certificate, PINNED.key, (STRANGER_CA.certificate,)), 8, 0, 0, 8
    ),
    "pinned one appended": Shown(
        Exhibit(OTHER.certificate, OTHER.key, (PINNED.certificate,)), PINNED.pin, 8, 0, 8, 8
    ),
    "CA in between": own(made(by=MIDDLE, chain=(MIDDLE.certificate,)), 0, 8, 0, 0),
    "forged self-signature": own(made(forged=True), 8, 8, 0, 8),
    "SHA-1": own(with_sha1(CA), 8, 8, 0, 8),
    # A pin is a decision about this very key, however short.
    "RSA 1024": own(made(by=CA, key=rsa.generate_private_key(65537, 1024)), 8, 8, 0, 8),
    "wrong EKU": own(made(by=CA, usage=CLIENT_AUTH), 8, 8, 0, 8),
}

MODES = ("default", "only_self_signed", "pinned", "roots")


def trust_of(mode: str, pin: bytes) -> Trust:
    if mode == "only_self_signed":
        return Trust(self_signed_only=True)
    if mode == "pinned":
        return Trust(pins=(pin,))
    return Trust(roots_pem=CA.pem) if mode == "roots" else Trust()


class Recorder:
    """A TLS server that takes whoever comes and writes down what is sent; answers 503."""

    def __init__(self, exhibit: Exhibit, directory: Path) -> None:
        self.heard: list[bytes] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers("DEFAULT:@SECLEVEL=0")
        self.context.load_cert_chain(exhibit.file(directory, f"{id(self)}"))
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            with sock:
                sock.settimeout(5)
                data = b""
                with (
                    contextlib.suppress(OSError),
                    self.context.wrap_socket(sock, server_side=True) as tls,
                ):
                    while b"\r\n\r\n" not in data and (piece := tls.recv(65536)):
                        data += piece
                    if data:
                        tls.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
                self.heard.append(data)

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join(5)


@pytest.fixture
def system_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system trusts `CA`."""
    path = tmp_path / "system.pem"
    path.write_bytes(CA.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nothing"))


@contextlib.contextmanager
def recording(exhibit: Exhibit, directory: Path) -> Iterator[Recorder]:
    recorder = Recorder(exhibit, directory)
    try:
        yield recorder
    finally:
        recorder.close()


def outcome(port: int, shown: Shown, mode: str) -> SyncError:
    async def play() -> SyncError:
        headers = (("Authorization", "Basic Ym9iOmNhbmFyeQ=="),)
        trust = trust_of(mode, shown.pin)
        with pytest.raises(SyncError) as caught:
            await dial(plan(port, trust=trust, host=shown.host, headers=headers))
        return caught.value

    return asyncio.run(play())


@pytest.mark.matrix
@pytest.mark.sec("SEC-28")
@pytest.mark.usefixtures("system_roots")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SHOWN)
def test_a_listener_is_trusted_or_hears_nothing(name: str, mode: str, tmp_path: Path) -> None:
    """Guards `Trust.evaluate` and that it comes before the request (`_dial_once`)."""
    shown = SHOWN[name]
    code: int = getattr(shown, mode)
    with recording(shown.exhibit, tmp_path) as recorder:
        error = outcome(recorder.port, shown, mode)
        if code == 0:
            assert isinstance(error, RefusedError), error
            assert error.code == 503
        else:
            assert isinstance(error, CertificateError), error
            assert (error.domain, error.code, error.transient) == ("Network", code, False)
    heard = b"".join(recorder.heard)
    if code == 0:
        assert b"Authorization: Basic Ym9iOmNhbmFyeQ==" in heard
    else:
        assert heard == b"", "not a byte of the request"


TOO_WEAK = ("SHA-1", "RSA 1024")
"""What no listener of ours would show: OpenSSL refuses to load it."""


@pytest.mark.sec("SEC-28")
@pytest.mark.usefixtures("system_roots")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", [name for name in SHOWN if name not in TOO_WEAK])
def test_a_listener_of_ours_is_judged_alike(name: str, mode: str) -> None:
    shown = SHOWN[name]
    code: int = getattr(shown, mode)
    chain, key = shown.exhibit.pair

    async def play() -> None:
        tls = ServerTLS(certificate_pem=chain, private_key_pem=key)
        async with door(tls) as listener:
            dialling = plan(listener.port, trust=trust_of(mode, shown.pin), host=shown.host)
            if code == 0:
                async with dialled(dialling):
                    assert len(listener.requests) == 1
                return
            with pytest.raises(CertificateError) as caught:
                await dial(dialling)
            assert caught.value.code == code
            assert listener.requests == []

    runner("uvloop")(play())


@pytest.mark.parametrize("name", TOO_WEAK)
def test_a_certificate_that_is_too_weak_is_not_shown(name: str) -> None:
    chain, key = SHOWN[name].exhibit.pair
    with pytest.raises(ConfigError, match="can't be used"):
        server_context(ServerTLS(certificate_pem=chain, private_key_pem=key))


@pytest.mark.sec("SEC-28")
@pytest.mark.parametrize("name", ["CA ok", "IP SAN", "CA in between"])
def test_without_the_authority_in_the_system_its_children_are_strangers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "nothing"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "nothing"))
    with recording(SHOWN[name].exhibit, tmp_path) as recorder:
        error = outcome(recorder.port, SHOWN[name], "default")
    assert isinstance(error, CertificateError)
    assert b"".join(recorder.heard) == b""


def test_there_are_64_cells() -> None:
    assert len(SHOWN) * len(MODES) == 64
