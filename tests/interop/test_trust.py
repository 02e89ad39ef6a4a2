"""Who is let in, and who is believed."""

from __future__ import annotations

import pytest

from settee import AuthenticationError, BasicAuthenticator, CertificateError, TLSIdentity
from tests.interop.authority import Authority
from tests.interop.content import numbered
from tests.interop.couchbase_lite import CouchbaseLiteError
from tests.interop.pairs import CouchbaseLitePair, SyncGatewayPair, check_same
from tests.interop.table import COUCHBASE_LITE, SYNC_GATEWAY

HANDSHAKE = 5008
"""What Couchbase Lite for Java makes of any failure in TLS."""


@pytest.mark.scenario("wrong password", peer=COUCHBASE_LITE)
@pytest.mark.parametrize("credentials", [("bob", "wrong"), ("alice", "secret"), None])
def test_couchbase_lite_is_told_that_its_password_is_wrong(
    pair: CouchbaseLitePair, credentials: tuple[str, str] | None
) -> None:
    with pytest.raises(CouchbaseLiteError) as caught:
        pair.sync("both", credentials=credentials)
    assert caught.value.code == 10401
    reasons = {refusal.reason for refusal in pair.listener.refusals}
    asked = "it showed no user name and password"  # Its HTTP client waits to be asked.
    assert reasons - {asked} == (
        set() if credentials is None else {f"wrong user name or password (user {credentials[0]})"}
    )


@pytest.mark.scenario("wrong password", peer=SYNC_GATEWAY)
@pytest.mark.parametrize("credentials", [("bob", "wrong"), ("alice", "secret"), None])
def test_settee_tells_that_sync_gateway_refuses_the_password(
    pair: SyncGatewayPair, credentials: tuple[str, str] | None
) -> None:
    authenticator = None if credentials is None else BasicAuthenticator(*credentials)
    with pytest.raises(AuthenticationError):
        pair.sync("both", authenticator=authenticator)


@pytest.mark.scenario("no such database", peer=COUCHBASE_LITE)
def test_couchbase_lite_is_told_that_there_is_no_such_database(pair: CouchbaseLitePair) -> None:
    pair.process.start(
        pair.db,
        pair.url + "x",
        credentials=("bob", "secret"),
        pin=pair.identity.certificate_der,
    )
    with pytest.raises(CouchbaseLiteError) as caught:
        pair.process.wait(pair.db)
    assert caught.value.code == 10404


@pytest.mark.scenario("no such database", peer=SYNC_GATEWAY)
def test_settee_tells_that_sync_gateway_has_no_such_database(pair: SyncGatewayPair) -> None:
    # Who has no access to a database is not told whether there is one.
    with pytest.raises(AuthenticationError):
        pair.ours.db.replicate(pair.process.url("nothing"), **pair.options("both"))


@pytest.mark.scenario("TLS: pinned")
def test_the_pinned_certificate_is_believed(pair: CouchbaseLitePair | SyncGatewayPair) -> None:
    pair.save(numbered(5))
    pair.sync("both")
    check_same(pair)


@pytest.mark.scenario("TLS: pinned", peer=COUCHBASE_LITE)
def test_couchbase_lite_believes_no_other_certificate_than_the_pinned(
    pair: CouchbaseLitePair,
) -> None:
    with pytest.raises(CouchbaseLiteError, match="pinned") as caught:
        pair.sync("both", pin=TLSIdentity.anonymous().certificate_der)
    assert caught.value.code == HANDSHAKE


@pytest.mark.scenario("TLS: pinned", peer=SYNC_GATEWAY)
def test_settee_believes_no_other_certificate_than_the_pinned(pair: SyncGatewayPair) -> None:
    with pytest.raises(CertificateError):
        pair.sync("both", pinned_server_certificate=TLSIdentity.anonymous().fingerprint)


@pytest.mark.scenario("TLS: self-signed only")
def test_settee_believes_a_self_signed_certificate_if_told_to(pair: SyncGatewayPair) -> None:
    pair.save(numbered(5))
    with pytest.warns(UserWarning, match="pin the certificate"):
        pair.sync("both", pinned_server_certificate=None, accept_only_self_signed=True)
    check_same(pair)


@pytest.mark.scenario("TLS: signed by an authority", peer=COUCHBASE_LITE)
def test_couchbase_lite_does_not_believe_a_self_signed_certificate(
    pair: CouchbaseLitePair,
) -> None:
    with pytest.raises(CouchbaseLiteError, match="certif") as caught:
        pair.sync("both", pin=None)
    assert caught.value.code == HANDSHAKE
    assert pair.count() == pair.ours.count() == 0


@pytest.mark.scenario("TLS: signed by an authority", peer=SYNC_GATEWAY)
def test_settee_does_not_believe_a_self_signed_certificate(pair: SyncGatewayPair) -> None:
    with pytest.raises(CertificateError):
        pair.sync("both", pinned_server_certificate=None)


@pytest.mark.scenario("TLS: signed by an authority", peer=COUCHBASE_LITE)
def test_couchbase_lite_believes_what_its_authority_signed(signed: CouchbaseLitePair) -> None:
    signed.save(numbered(5))
    signed.sync("both", pin=None)
    check_same(signed)


@pytest.mark.scenario("TLS: signed by an authority", peer=SYNC_GATEWAY)
def test_settee_believes_what_the_authority_signed(
    signed: SyncGatewayPair, authority: Authority
) -> None:
    signed.save(numbered(5))
    signed.sync("both", pinned_server_certificate=None, trusted_roots=authority.pem)
    check_same(signed)
    with pytest.raises(CertificateError):  # Of the system's own authorities it is none.
        signed.sync("both", pinned_server_certificate=None)


@pytest.mark.scenario("read-only listener")
def test_a_read_only_listener_takes_nothing_and_gives_all(pair: CouchbaseLitePair) -> None:
    pair.ours.save(numbered(5, "ours"))
    pair.save(numbered(5, "theirs"))
    pair.listen_again(read_only=True)
    pair.sync("out")
    assert pair.count() == 10
    with pytest.raises(CouchbaseLiteError) as caught:
        pair.sync("in")
    assert caught.value.code == 10403
    assert pair.ours.count() == 5
