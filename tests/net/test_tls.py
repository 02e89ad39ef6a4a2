"""Trust, contexts, and what is said when a handshake fails."""

from __future__ import annotations

import asyncio
import datetime
import os
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from settee.errors import CertificateError, ConfigError, ConnectionFailedError, NotAPeerError
from settee.net import tls
from settee.net.tls import ServerTLS, Trust, client_context, dial_failure, server_context
from tests.net.scene import KITCHEN, STRANGER, Run, door, issue, server_tls

CA = issue("authority", ca=True)
SIGNED = issue("signed", by=CA)


# --- trust ---------------------------------------------------------------------------------------


def test_a_pinned_certificate_is_trusted() -> None:
    Trust(pins=(STRANGER.pin, KITCHEN.pin)).evaluate(KITCHEN.der)
    Trust(pins=(SIGNED.pin,)).evaluate(SIGNED.der)


def test_another_certificate_is_refused_with_both_fingerprints() -> None:
    with pytest.raises(CertificateError, match="not the pinned one") as caught:
        Trust(pins=(KITCHEN.pin,)).evaluate(STRANGER.der)
    assert KITCHEN.pin.hex() in str(caught.value)
    assert STRANGER.pin.hex() in str(caught.value)
    assert (caught.value.domain, caught.value.code) == ("Network", 8)
    assert not caught.value.transient


def test_self_signed_only_takes_strangers_but_nothing_signed_by_another_nor_forged() -> None:
    trust = Trust(self_signed_only=True)
    trust.evaluate(STRANGER.der)
    with pytest.raises(CertificateError, match="not self-signed"):
        trust.evaluate(SIGNED.der)
    with pytest.raises(CertificateError, match="not self-signed"):
        trust.evaluate(issue("liar", forged=True).der)


@pytest.mark.parametrize("trust", [Trust(self_signed_only=True), Trust(pins=(KITCHEN.pin,))])
def test_the_dates_are_checked_at_their_edges(trust: Trust) -> None:
    day = datetime.timedelta(days=1)
    now = datetime.datetime.now(datetime.UTC)
    trust.evaluate(KITCHEN.der, now=now + 364 * day)
    for when, says in ((now + 366 * day, "expired on"), (now - 2 * day, "is valid from")):
        with pytest.raises(CertificateError, match=says) as caught:
            trust.evaluate(KITCHEN.der, now=when)
        assert caught.value.code == 7


def test_junk_and_nothing_are_no_certificates() -> None:
    trust = Trust(self_signed_only=True)
    for der in (None, b"", b"\x30\x03abc"):
        with pytest.raises(CertificateError):
            trust.evaluate(der)


def test_a_pin_has_32_bytes() -> None:
    with pytest.raises(ConfigError, match="32"):
        Trust(pins=(b"short",))


def test_authorities_are_left_to_openssl() -> None:
    for trust in (Trust(), Trust(roots_pem=CA.pem)):
        assert trust.asks_authorities
        context = client_context(trust, None)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
    assert client_context(Trust(self_signed_only=True), None).verify_mode is ssl.CERT_NONE


# --- contexts ------------------------------------------------------------------------------------


@pytest.mark.sec("SEC-03")
@pytest.mark.feature("NET-02")
@pytest.mark.parametrize("side", ["server", "client"])
def test_only_modern_tls_is_spoken(side: str) -> None:
    context = server_context(server_tls()) if side == "server" else client_context(Trust(), None)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    for cipher in context.get_ciphers():
        assert cipher["aead"]
        assert cipher["protocol"] == "TLSv1.3" or cipher["name"].startswith("ECDHE")
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.sec("SEC-03")
@pytest.mark.parametrize(
    ("versions", "ciphers", "fits"),
    [
        ((ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3), "ALL", True),
        ((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), "ALL", True),
        ((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), "AES128-GCM-SHA256", False),
        ((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), "ECDHE-ECDSA-AES128-SHA", False),
    ],
)
def test_a_listener_takes_safe_ciphers_only_and_says_no_with_an_alert(
    run: Run, versions: Any, ciphers: str, fits: bool
) -> None:
    async def play() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version, context.maximum_version = versions
        context.set_ciphers(ciphers + ":@SECLEVEL=0")
        async with door(server_tls()) as listener:
            opening = asyncio.open_connection("127.0.0.1", listener.port, ssl=context)
            if not fits:
                # Without the alert it would be a reset, which Couchbase Lite retries for ever.
                with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
                    await opening
                assert listener.refusals[0].reason.endswith("safe enough")
                return
            _, writer = await opening
            writer.close()
            await writer.wait_closed()

    run(play())


@pytest.mark.sec("SEC-03")
def test_tls_1_1_is_refused_with_an_alert(run: Run) -> None:
    # A ClientHello of TLS 1.1, as bytes: OpenSSL itself does not send one any more.
    body = b"\x03\x02" + bytes(32) + b"\x00" + b"\x00\x02\xc0\x13" + b"\x01\x00"
    hello = b"\x16\x03\x01" + (len(body) + 4).to_bytes(2, "big")
    hello += b"\x01" + len(body).to_bytes(3, "big") + body

    async def play() -> None:
        async with door(server_tls()) as listener:
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(hello)
            answer = await reader.read()
            assert answer[0] == 0x15
            assert answer[5:7] == b"\x02\x46"  # fatal, protocol_version
            assert listener.refusals[0].reason == "the client does not speak TLS 1.2 or 1.3"
            writer.close()
            await writer.wait_closed()

    run(play())


def encrypted(key: Any) -> bytes:
    return key.private_bytes(  # type: ignore[no-any-return]
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


@pytest.mark.parametrize(
    "broken",
    [
        ServerTLS(certificate_pem=b"junk", private_key_pem=KITCHEN.key_pem),
        ServerTLS(certificate_pem=KITCHEN.pem, private_key_pem=b"junk"),
        ServerTLS(certificate_pem=KITCHEN.pem, private_key_pem=STRANGER.key_pem),
        ServerTLS(certificate_pem=KITCHEN.pem, private_key_pem=encrypted(KITCHEN.key)),
        server_tls(client_anchors_pem=b"junk"),
        server_tls(client_anchors_pem=b"\xff"),
    ],
)
def test_what_can_not_be_used_is_a_mistake_of_the_caller(broken: ServerTLS) -> None:
    with pytest.raises(ConfigError):
        server_context(broken)


@pytest.mark.sec("SEC-37")
def test_the_key_is_never_shown() -> None:
    assert "PRIVATE" not in repr(server_tls())


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_key_is_read_from_a_place_that_others_can_not_read(
    in_memory: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    if in_memory and not hasattr(os, "memfd_create"):
        pytest.skip("this system keeps no files in memory")
    if not in_memory:
        monkeypatch.delattr(os, "memfd_create", raising=False)
    with tls._as_file(b"secret") as path:
        assert Path(path).read_bytes() == b"secret"
        assert bool(list(tmp_path.iterdir())) is not in_memory
        if not in_memory and os.name == "posix":
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert list(tmp_path.iterdir()) == []
    server_context(server_tls())


def test_clients_without_a_free_handle_are_still_served(run: Run) -> None:
    class Full:
        def dup(self) -> None:
            raise OSError(24, "Too many open files")

    handshake = tls.Handshake(Full())  # type: ignore[arg-type]
    with handshake:
        run(tls.say_refusal(handshake, ssl.SSLError(1, "x")))


# --- words ---------------------------------------------------------------------------------------


def ssl_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("error", "showed", "kind", "code"),
    [
        (ssl_error("WRONG_VERSION_NUMBER"), False, NotAPeerError, 6),
        (ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED"), False, CertificateError, 9),
        (ssl_error("TLSV1_ALERT_UNKNOWN_CA"), True, CertificateError, 10),
        (ssl_error("SSLV3_ALERT_BAD_CERTIFICATE"), True, CertificateError, 10),
        (ssl_error("SSLV3_ALERT_HANDSHAKE_FAILURE"), False, CertificateError, 6),
        (ssl_error("BAD_SIGNATURE"), False, CertificateError, 6),
        (ssl_error("UNEXPECTED_EOF_WHILE_READING"), False, ConnectionFailedError, 18),
        (ConnectionResetError(), False, ConnectionFailedError, 18),
        (ConnectionAbortedError(), False, ConnectionFailedError, 3),
    ],
)
def test_a_failed_handshake_is_explained(
    error: Exception, showed: bool, kind: type, code: int
) -> None:
    found = dial_failure(error, where="h:1", showed_certificate=showed)
    assert type(found) is kind
    assert (found.domain, found.code) == ("Network", code)
    assert found.transient is (kind is ConnectionFailedError)
    assert "h:1" in str(found)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "no certificate"),
        ("HTTP_REQUEST", "wss://"),
        ("UNSUPPORTED_PROTOCOL", "TLS 1.2"),
        ("NO_SHARED_CIPHER", "cipher"),
        ("TLSV1_ALERT_UNKNOWN_CA", "unknown ca"),
        ("BAD_RECORD_TYPE", "bad record type"),
    ],
)
def test_a_listeners_owner_is_told_in_words(reason: str, says: str) -> None:
    assert says in tls.refusal_sentence(ssl_error(reason))
