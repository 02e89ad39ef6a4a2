"""The matrix, third part: whom a listener lets in (63 cells).

Each cell is played by a replicator of ours and by OpenSSL's client, which asks for a link with the
same certificate and the same password. Who is refused hears nothing of the database, and whose
certificate is refused is not even asked for a password.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from settee import (
    AuthenticationError,
    BasicAuthenticator,
    CertificateError,
    ClientCertificateAuthenticator,
    Database,
    ListenerCertificateAuthenticator,
    ListenerPasswordAuthenticator,
    RefusedError,
    SyncError,
    TLSIdentity,
    URLEndpointListener,
)
from tests.attack.exhibits import Exhibit, made
from tests.attack.raw import ask
from tests.attack.test_matrix_server import openssl

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")

ROOT = made("The root", ca=True, hosts=())
PINNED = made("van")
PINNED_CA = made("van that may sign", ca=True)
EXPIRED = made("old van", days=(-20, -10))

CLIENTS: dict[str, Exhibit | None] = {
    "none": None,
    "pinned": PINNED,
    "stranger": made("stranger"),
    "child of pinned": made("child", by=PINNED),
    "child of pinned CA": made("child", by=PINNED_CA),
    "expired": EXPIRED,
    "root-signed": made("rooted", by=ROOT),
}
ASKS = ("none", "required", "root list")
PASSWORDS = ("none", "right", "wrong")
CELLS = list(itertools.product(CLIENTS, ASKS, PASSWORDS))
IDENTITY = TLSIdentity.create("kitchen", hosts=["127.0.0.1"])


def certificate_is_good(client: str, asks: str) -> bool:
    good = {"none": set(CLIENTS), "required": {"pinned"}, "root list": {"root-signed"}}
    return client in good[asks]


class Scene:
    """A listener for each way to ask for certificates, and a database that wants to sync."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stack = contextlib.ExitStack()
        self.kitchen = self.stack.enter_context(self._database("kitchen"))
        self.van = self.stack.enter_context(self._database("van"))
        self.kitchen.default_collection["apples"] = {"n": 1}
        self.asked: list[str] = []
        pins = [each.pem for each in (PINNED, PINNED_CA, EXPIRED)]
        self.listeners = {
            "none": self._listening(),
            "required": self._listening(ListenerCertificateAuthenticator(pins=pins)),
            "root list": self._listening(ListenerCertificateAuthenticator(roots=ROOT.pem)),
        }
        self.files = {
            name: exhibit.file(directory, name.replace(" ", "-"))
            for name, exhibit in CLIENTS.items()
            if exhibit is not None
        }

    def _database(self, name: str) -> Database:
        return Database(name, directory=self.directory, durability="memory")

    def _listening(self, *more: Any) -> URLEndpointListener:
        listener = URLEndpointListener(
            self.kitchen,
            host="127.0.0.1",
            tls_identity=IDENTITY,
            authenticator=[ListenerPasswordAuthenticator(self.check), *more],
        )
        return self.stack.enter_context(listener)

    def check(self, user: str, password: str) -> bool:
        self.asked.append(user)
        return password == "canary"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made_here = Scene(tmp_path_factory.mktemp("matrix"))
    with made_here.stack:
        yield made_here


def user_of(cell: tuple[str, str, str]) -> str:
    """Each cell has a user of its own: failures of one slow down its later tries."""
    return f"bob-{CELLS.index(cell)}"


@pytest.mark.matrix
@pytest.mark.sec("SEC-09")
@pytest.mark.parametrize("cell", CELLS, ids="/".join)
def test_who_satisfies_all_that_is_asked_comes_in_and_nobody_else(
    scene: Scene, cell: tuple[str, str, str]
) -> None:
    """Guards `server_context` and `Doorkeeper.judge`."""
    client, asks, password = cell
    good = certificate_is_good(client, asks)
    comes_in = good and password == "right"
    listener = scene.listeners[asks]
    replicator = by_replicator(scene, listener, cell)
    assert (replicator is None) is comes_in, replicator
    if not good:
        assert isinstance(replicator, CertificateError | RefusedError), replicator
        assert not replicator.transient
        assert scene.asked == [], "who shows a wrong certificate is not asked for a password"
    elif not comes_in:
        assert isinstance(replicator, AuthenticationError), replicator
        assert scene.asked == [user_of(cell)] * (password == "wrong")
    shown = by_openssl(scene, listener, cell)
    assert (b"HTTP/1.1 101" in shown) is comes_in
    assert b"apples" not in shown
    assert b"kitchen/" not in shown
    if good and not comes_in:
        assert b"HTTP/1.1 401" in shown
    if not good:
        assert scene.asked == []


def by_replicator(
    scene: Scene, listener: URLEndpointListener, cell: tuple[str, str, str]
) -> SyncError | None:
    client, _, password = cell
    shown: list[Any] = []
    exhibit = CLIENTS[client]
    if exhibit is not None:
        identity = TLSIdentity.from_pem(exhibit.chain_pem, exhibit.key_pem)
        shown.append(ClientCertificateAuthenticator(identity))
    if password != "none":
        secret = "canary" if password == "right" else "guess"
        shown.append(BasicAuthenticator(user_of(cell), secret))
    scene.asked.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scene.van.replicate(
                listener.urls[0],
                authenticator=shown,
                pinned_server_certificate=IDENTITY.fingerprint,
                replicator_type="pull",
                max_attempts=1,
            )
        except SyncError as error:
            return error
    return None


def by_openssl(scene: Scene, listener: URLEndpointListener, cell: tuple[str, str, str]) -> bytes:
    client, _, password = cell
    options = ["-ign_eof", "-quiet"]
    if client != "none":
        path = str(scene.files[client])
        options += ["-cert", path, "-key", path]
    headers = {}
    if password != "none":
        secret = "canary" if password == "right" else "guess"
        pair = f"{user_of(cell)}-openssl:{secret}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
    scene.asked.clear()
    return asyncio.run(openssl(listener.port, *options, send=ask("/kitchen/_blipsync", **headers)))


def test_there_are_63_cells() -> None:
    assert len(CELLS) == 63
