"""Every way to listen against every way to trust: what works, and what each refusal says.

The modes are those of Couchbase's peer-to-peer sample app. A listener is without TLS, anonymous,
has an identity out of a PKCS#12 bundle, or one that it made and keeps; or one signed by an
authority. A replicator skips validation (takes self-signed certificates only), asks authorities, or
has pinned a certificate: that of the bundle.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from settee import (
    BasicAuthenticator,
    CertificateError,
    Database,
    ListenerPasswordAuthenticator,
    NotAPeerError,
    SyncError,
    TLSIdentity,
    URLEndpointListener,
)
from tests.net.scene import issue

CA = TLSIdentity.create("The authority", authority=True)
BUNDLE = TLSIdentity.create("com.example.list-sync-server").to_pkcs12("couchbase")
BUNDLED = TLSIdentity.from_pkcs12(BUNDLE, "couchbase")
CA_SIGNED = TLSIdentity.create("kitchen", issuer=CA, hosts=["127.0.0.1"])
CA_SIGNED_PINNED = "CA-signed and pinned"


class Refused(NamedTuple):
    """What a replicator is told; `code` is Couchbase Lite's of its domain Network."""

    kind: type[SyncError]
    code: int
    says: str


WORKS = None
UNKNOWN_ROOT = Refused(CertificateError, 8, "self-signed certificate.*pin it or accept self-signed")
NOT_PINNED = Refused(CertificateError, 8, "is not the pinned one.*somebody else answers")
NOT_SELF_SIGNED = Refused(CertificateError, 8, "is not self-signed, and only self-signed")

SKIP: dict[str, Any] = {"accept_only_self_signed": True, "trust_on_first_use": False}
ASK: dict[str, Any] = {"trusted_roots": CA.certificate_pem}
PINNED: dict[str, Any] = {"pinned_server_certificate": BUNDLED.fingerprint}
SIGNED_PINNED: dict[str, Any] = {"pinned_server_certificate": CA_SIGNED.certificate_pem}

CLIENTS = {"skip": SKIP, "ca": ASK, "pinned": PINNED, CA_SIGNED_PINNED: SIGNED_PINNED}

MATRIX: dict[tuple[str, str], Refused | None] = {
    ("disabled", "skip"): WORKS,
    ("disabled", "ca"): WORKS,
    ("disabled", "pinned"): WORKS,
    ("anonymous", "skip"): WORKS,
    ("anonymous", "ca"): UNKNOWN_ROOT,
    ("anonymous", "pinned"): NOT_PINNED,
    ("bundled", "skip"): WORKS,
    ("bundled", "ca"): UNKNOWN_ROOT,
    ("bundled", "pinned"): WORKS,
    ("generated", "skip"): WORKS,
    ("generated", "ca"): UNKNOWN_ROOT,
    ("generated", "pinned"): NOT_PINNED,
    ("CA-signed", "skip"): NOT_SELF_SIGNED,
    ("CA-signed", "ca"): WORKS,
    ("CA-signed", "pinned"): NOT_PINNED,
    ("CA-signed", CA_SIGNED_PINNED): WORKS,
}

PEM_OF_OTHERS = TLSIdentity.create("other").certificate_pem


class Scene:
    """Two databases, and listeners that are made when they are needed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.stack = contextlib.ExitStack()
        self.kitchen = self.stack.enter_context(self._database("kitchen"))
        self.van = self.stack.enter_context(self._database("van"))
        self.kitchen.default_collection["apples"] = {"n": 1}
        self.listeners: dict[str, URLEndpointListener] = {}
        self.asked: list[str] = []

    def _database(self, name: str) -> Database:
        return Database(name, directory=self.directory, durability="memory")

    def listener(self, mode: str) -> URLEndpointListener:
        if mode not in self.listeners:
            options: dict[str, Any] = {
                "disabled": lambda: {"tls": False},
                "anonymous": dict,
                "bundled": lambda: {"tls_identity": BUNDLED},
                "generated": lambda: {
                    "tls_identity": TLSIdentity.self_signed("list-sync", directory=self.directory)
                },
                "CA-signed": lambda: {"tls_identity": CA_SIGNED},
            }[mode]()
            self.listeners[mode] = self.listening(**options)
        return self.listeners[mode]

    def listening(self, **options: Any) -> URLEndpointListener:
        return self.stack.enter_context(
            URLEndpointListener(
                self.kitchen,
                host="127.0.0.1",
                authenticator=ListenerPasswordAuthenticator(self.check),
                **options,
            )
        )

    def check(self, user: str, password: str) -> bool:
        self.asked.append(password)
        return True

    def outcome(self, url: str, options: dict[str, Any]) -> SyncError | None:
        """Replicate once; returns why that was refused, if it was."""
        self.asked.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result = self.van.replicate(
                    url,
                    authenticator=BasicAuthenticator("bob", "canary"),
                    replicator_type="pull",
                    max_attempts=1,
                    **options,
                )
            except SyncError as error:
                return error
        assert result.errors == ()
        return None

    def must_be(self, url: str, options: dict[str, Any], expected: Refused | None) -> None:
        error = self.outcome(url, options)
        if expected is None:
            assert error is None
            assert self.asked == ["canary"]
            return
        assert error is not None
        assert type(error) is expected.kind, error
        assert (error.domain, error.code) == ("Network", expected.code)
        assert not error.transient
        with pytest.raises(expected.kind, match=expected.says):
            raise error
        assert self.asked == [], "no credential was sent"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("matrix"))
    with made.stack:
        yield made


@pytest.mark.feature("TLS-01", "TLS-02", "TLS-05", "LIS-05", "LIS-06")
@pytest.mark.feature("REP-16", "REP-17", "REP-18", "NET-01")
@pytest.mark.parametrize(("mode", "client"), MATRIX)
def test_each_cell_of_the_matrix_works_or_says_why_not(
    scene: Scene, mode: str, client: str
) -> None:
    url = scene.listener(mode).urls[0]
    scene.must_be(url, CLIENTS[client], MATRIX[mode, client])


@pytest.mark.feature("NET-01")
@pytest.mark.parametrize("client", ["skip", "ca", "pinned"])
def test_without_tls_towards_a_listener_that_has_it_the_url_is_corrected(
    scene: Scene, client: str
) -> None:
    error = scene.outcome(scene.listener("bundled").urls[0].replace("wss", "ws"), CLIENTS[client])
    assert isinstance(error, NotAPeerError)
    assert "its URL begins with wss://" in str(error)
    assert not error.transient


@pytest.mark.feature("NET-01")
@pytest.mark.parametrize("client", ["skip", "ca", "pinned"])
def test_with_tls_towards_a_listener_without_the_url_is_corrected(
    scene: Scene, client: str
) -> None:
    error = scene.outcome(scene.listener("disabled").urls[0].replace("ws", "wss"), CLIENTS[client])
    assert isinstance(error, NotAPeerError)
    assert "begins with ws://" in str(error)
    assert not error.transient


def identity(**options: Any) -> TLSIdentity:
    """An identity that is wrong in one respect."""
    made = issue(**options)
    return TLSIdentity.from_pem(made.pem, made.key_pem)


EXPIRED = identity(name="expired", days=(-20, -10))
EARLY = identity(name="early", days=(10, 20))
WRONG_NAME = TLSIdentity.create("elsewhere", issuer=CA, hosts=["elsewhere.example.com"])
NAMELESS = TLSIdentity.create("An authority's child", issuer=CA, hosts=[])
CLIENT_ONLY = TLSIdentity.create("client", issuer=CA, hosts=["127.0.0.1"], usages=["client"])
FORGED = identity(name="forged", hosts=(), forged=True)
ROGUE = TLSIdentity.create("rogue")
APPENDED = TLSIdentity("rogue", ROGUE._key, [ROGUE._chain[0], BUNDLED._chain[0]])

BAD = [
    pytest.param(EXPIRED, SKIP, Refused(CertificateError, 7, "expired on 20"), id="expired-skip"),
    pytest.param(
        EXPIRED,
        {"pinned_server_certificate": EXPIRED.certificate_pem},
        Refused(CertificateError, 7, "expired on 20"),
        id="expired-pinned",
    ),
    pytest.param(
        EXPIRED,
        {"trusted_roots": EXPIRED.certificate_pem},
        Refused(CertificateError, 7, "certificate has expired"),
        id="expired-ca",
    ),
    pytest.param(
        EARLY, SKIP, Refused(CertificateError, 7, "only; is this clock right"), id="early-skip"
    ),
    pytest.param(
        EARLY,
        {"pinned_server_certificate": EARLY.certificate_pem},
        Refused(CertificateError, 7, "only; is this clock right"),
        id="early-pinned",
    ),
    pytest.param(
        EARLY,
        {"trusted_roots": EARLY.certificate_pem},
        Refused(CertificateError, 7, "not yet valid"),
        id="early-ca",
    ),
    pytest.param(
        WRONG_NAME,
        ASK,
        Refused(CertificateError, 15, "dial it by a name that is in its certificate"),
        id="wrong-name-ca",
    ),
    pytest.param(NAMELESS, ASK, Refused(CertificateError, 15, "by a name"), id="no-name-ca"),
    pytest.param(
        WRONG_NAME,
        {"pinned_server_certificate": WRONG_NAME.certificate_der},
        WORKS,
        id="wrong-name-pinned",
    ),
    pytest.param(
        CLIENT_ONLY, ASK, Refused(CertificateError, 8, "unsuitable|purpose"), id="wrong-usage-ca"
    ),
    pytest.param(APPENDED, PINNED, NOT_PINNED, id="pinned-one-appended"),
    pytest.param(APPENDED, SKIP, WORKS, id="pinned-one-appended-skip"),
    pytest.param(
        CA_SIGNED,
        {"trusted_roots": PEM_OF_OTHERS},
        Refused(CertificateError, 11, "pin it or accept self-signed"),
        id="root-of-others",
    ),
    pytest.param(FORGED, SKIP, NOT_SELF_SIGNED, id="forged-skip"),
]


@pytest.mark.feature("REP-16", "REP-17", "REP-18", "NET-01")
@pytest.mark.parametrize(("shown", "options", "expected"), BAD)
def test_each_certificate_that_is_wrong_in_one_respect_is_judged_by_it(
    scene: Scene, shown: TLSIdentity, options: dict[str, Any], expected: Refused | None
) -> None:
    listener = scene.listening(tls_identity=shown)
    url = listener.urls[0]
    if "localhost" in shown.info.dns_names:
        url = url.replace("127.0.0.1", "localhost")
    scene.must_be(url, options, expected)
    listener.stop()


@pytest.mark.feature("REP-36")
def test_the_certificate_of_the_last_handshake_can_be_shown_and_pinned(scene: Scene) -> None:
    from settee import Replicator

    url = scene.listener("bundled").urls[0]
    with Replicator(
        scene.van, url, authenticator=BasicAuthenticator("bob", "x"), **PINNED
    ) as replicator:
        replicator.wait_for("stopped")
        shown = replicator.server_certificate
    assert shown is not None
    assert shown.pem == BUNDLED.certificate_pem
    scene.must_be(url, {"pinned_server_certificate": shown.pem}, WORKS)


@pytest.mark.feature("REP-36")
def test_the_certificate_that_was_refused_for_another_can_be_shown(scene: Scene) -> None:
    """Whoever compares it with the other device's screen has to see it."""
    from settee import Replicator

    url = scene.listener("bundled").urls[0]
    another = {"pinned_server_certificate": "00" * 32}
    with Replicator(
        scene.van, url, authenticator=BasicAuthenticator("bob", "x"), **another
    ) as replicator:
        replicator.wait_for("stopped")
        assert isinstance(replicator.status.error, CertificateError)
        shown = replicator.server_certificate
    assert shown is not None
    assert shown.pem == BUNDLED.certificate_pem
