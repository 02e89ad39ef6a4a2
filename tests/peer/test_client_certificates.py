"""Who comes in by a certificate: roots, pins, a callback, and a password beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from settee import (
    AuthenticationError,
    BasicAuthenticator,
    CertificateError,
    CertificateInfo,
    ClientCertificateAuthenticator,
    ConfigError,
    Database,
    ListenerCertificateAuthenticator,
    ListenerPasswordAuthenticator,
    RefusedError,
    Replicator,
    SyncError,
    TLSIdentity,
    URLEndpointListener,
)
from tests.net.scene import issue
from tests.peer.scene import IDENTITY

CA = TLSIdentity.create("The fleet", authority=True)
VAN = TLSIdentity.create("van 7", issuer=CA, usages=["client"])
PINNED = TLSIdentity.create("pinned")
PINNED_CA = TLSIdentity.create("pinned authority", authority=True)
STRANGER = TLSIdentity.create("stranger")
CHILD = TLSIdentity.create("child", issuer=PINNED_CA)
LISTENER_ONLY = TLSIdentity.create("listener", issuer=CA, usages=["server"])


def _expired() -> TLSIdentity:
    made = issue("expired", hosts=(), days=(-20, -10))
    return TLSIdentity.from_pem(made.pem, made.key_pem)


EXPIRED = _expired()

ROOTS = ListenerCertificateAuthenticator(roots=CA)
PINS = ListenerCertificateAuthenticator(pins=[PINNED, PINNED_CA.certificate_pem, EXPIRED])
PASSWORD = ListenerPasswordAuthenticator(lambda user, password: password == "right")

SHOWN = {
    "none": None,
    "signed": VAN,
    "pinned": PINNED,
    "pinned authority": PINNED_CA,
    "child of the pinned": CHILD,
    "stranger": STRANGER,
    "expired": EXPIRED,
    "for listeners only": LISTENER_ONLY,
}
ADMITTED = {"roots": {"signed"}, "pins": {"pinned", "pinned authority"}}
KEYS: dict[str, list[Any]] = {
    "roots": [ROOTS],
    "pins": [PINS],
    "roots and password": [ROOTS, PASSWORD],
    "pins and password": [PASSWORD, PINS],
}


class Scene:
    """A listener for each combination of keys."""

    def __init__(self, directory: Path) -> None:
        self.stack = contextlib.ExitStack()
        open_database = lambda name: self.stack.enter_context(  # noqa: E731
            Database(name, directory=directory, durability="memory")
        )
        self.kitchen, self.van = open_database("kitchen"), open_database("van")
        self.listeners: dict[str, URLEndpointListener] = {}

    def listener(self, keys: str) -> URLEndpointListener:
        if keys not in self.listeners:
            self.listeners[keys] = self.stack.enter_context(
                URLEndpointListener(
                    self.kitchen,
                    host="127.0.0.1",
                    tls_identity=IDENTITY,
                    authenticator=KEYS[keys],
                )
            )
        return self.listeners[keys]

    def dial(
        self, url: str, identity: TLSIdentity | None, password: str | None = None
    ) -> SyncError | None:
        shown: list[Any] = [] if identity is None else [ClientCertificateAuthenticator(identity)]
        if password is not None:
            shown.append(BasicAuthenticator("bob", password))
        try:
            self.van.replicate(
                url,
                authenticator=shown,
                pinned_server_certificate=IDENTITY,
                max_attempts=1,
            )
        except SyncError as error:
            return error
        return None


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("certificates"))
    with made.stack:
        yield made


@pytest.mark.sec("SEC-09")
@pytest.mark.feature("AUTH-03", "AUTH-07")
@pytest.mark.parametrize("kind", ["roots", "pins"])
@pytest.mark.parametrize("password", [None, "wrong", "right"])
@pytest.mark.parametrize("shown", SHOWN)
def test_all_that_is_configured_must_pass_and_each_refusal_is_permanent_and_explained(
    scene: Scene, kind: str, password: str | None, shown: str
) -> None:
    listener = scene.listener(kind if password is None else f"{kind} and password")
    refused_before = len(listener.refusals)
    error = scene.dial(listener.urls[0], SHOWN[shown], password)
    if shown in ADMITTED[kind]:
        if password == "wrong":
            assert isinstance(error, AuthenticationError)
            assert "wrong user name or password" in str(error)
        else:
            assert error is None
        return
    assert error is not None
    assert not error.transient
    if shown == "none":
        assert isinstance(error, CertificateError)
        assert error.code == 9
        assert "lets in clients with a certificate only, and none was given" in str(error)
    elif isinstance(error, RefusedError):
        # A child of a pinned authority: TLS takes it, the pin does not.
        assert (shown, kind) == ("child of the pinned", "pins")
        assert "not one of those let in" in str(error)
    else:
        assert isinstance(error, CertificateError)
        assert error.code == 10
        assert "refused the client certificate" in str(error)
    refusals = listener.refusals[refused_before:] or listener.refusals[-1:]
    assert {refusal.stage for refusal in refusals} == {"tls"}
    assert all("certificate" in refusal.reason for refusal in refusals)


@pytest.mark.feature("AUTH-03", "LIS-13")
@pytest.mark.parametrize(
    ("keys", "password", "user"), [("roots", None, "van 7"), ("roots and password", "right", "bob")]
)
def test_a_connection_says_whose_it_is(
    scene: Scene, keys: str, password: str | None, user: str
) -> None:
    listener = scene.listener(keys)
    shown: list[Any] = [ClientCertificateAuthenticator(VAN)]
    if password is not None:
        shown.append(BasicAuthenticator("bob", password))
    with Replicator(
        scene.van,
        listener.urls[0],
        continuous=True,
        authenticator=shown,
        pinned_server_certificate=IDENTITY,
    ) as replicator:
        assert replicator.wait_for("idle", timeout=10)
        (connection,) = listener.connections
        assert connection.user == user
        assert connection.identity == VAN.info
        assert connection.database == "kitchen"
        assert user in repr(connection)


@pytest.mark.feature("AUTH-06")
def test_a_callback_refuses_what_the_roots_admit_and_sees_the_certificate(scene: Scene) -> None:
    seen: list[CertificateInfo] = []

    def accept(certificate: CertificateInfo) -> bool:
        seen.append(certificate)
        return certificate.common_name != "van 7"

    authenticator = ListenerCertificateAuthenticator(roots=CA.certificate_der, accept=accept)
    other = TLSIdentity.create("van 8", issuer=CA)
    with URLEndpointListener(
        scene.kitchen, host="127.0.0.1", tls_identity=IDENTITY, authenticator=authenticator
    ) as listener:
        error = scene.dial(listener.urls[0], VAN)
        assert isinstance(error, RefusedError)
        assert (error.code, error.transient) == (403, False)
        assert "may not come in" in str(error)
        assert "CN=van 7" in listener.refusals[0].reason
        assert scene.dial(listener.urls[0], other) is None
        assert scene.dial(listener.urls[0], STRANGER) is not None
    assert seen == [VAN.info, other.info]


@pytest.mark.feature("AUTH-06")
def test_a_certificate_needs_tls(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="with TLS only"):
        URLEndpointListener(scene.kitchen, host="127.0.0.1", tls=False, authenticator=ROOTS)


def test_anchors_that_can_not_be_used_are_refused() -> None:
    with pytest.raises(ConfigError, match="a callback alone"):
        ListenerCertificateAuthenticator(accept=lambda certificate: True)
    with pytest.raises(ConfigError, match="not both"):
        ListenerCertificateAuthenticator(roots=CA, pins=CA)
    with pytest.raises(ConfigError, match="fingerprint is not enough"):
        ListenerCertificateAuthenticator(pins=PINNED.fingerprint)
    with pytest.raises(ConfigError, match="identity"):
        ClientCertificateAuthenticator("van")  # type: ignore[arg-type]
