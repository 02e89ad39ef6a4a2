"""All the forms that a pin can be given in, and those it can't."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from settee.errors import ConfigError
from settee.identity import TLSIdentity, describe, parse_pin
from settee.limits import CERTIFICATE_BYTES_MAX
from tests.identity.certificates import certificate, der, key, key_pem, pem

CERTIFICATE = certificate("kitchen")
DER, PEM = der(CERTIFICATE), pem(CERTIFICATE)
DIGEST = hashlib.sha256(DER).digest()
HEX = DIGEST.hex()
COLONS = ":".join(HEX[i : i + 2] for i in range(0, 64, 2))
BASE64 = base64.b64encode(DIGEST).decode()


@pytest.mark.parametrize(
    "value",
    [
        HEX,
        HEX.upper(),
        COLONS,
        COLONS.upper(),
        COLONS.replace(":", " "),
        f"  {HEX}\n",
        f"{HEX[:32]}\n{HEX[32:]}",
        f"SHA256:{HEX}",
        f"sha-256={COLONS}",
        f"sha256 Fingerprint={COLONS.upper()}",
        f"SHA-256 Fingerprint: {COLONS.upper()}",
        BASE64,
        BASE64.rstrip("="),
        f"SHA256:{BASE64}",
        f"sha256/{BASE64}",
        DIGEST,
        HEX.encode(),
        f"{COLONS}\n".encode(),
        PEM,
        PEM.decode(),
        PEM.replace(b"\n", b"\r\n"),
        b"subject=CN = kitchen\n" + PEM,
        DER,
        CERTIFICATE,
        describe(DER),
    ],
)
def test_each_form_means_the_same_certificate(value: object) -> None:
    assert parse_pin(value) == DIGEST  # type: ignore[arg-type]


def test_an_identity_is_a_pin() -> None:
    identity = TLSIdentity.anonymous()
    assert parse_pin(identity) == hashlib.sha256(identity.certificate_der).digest()


@pytest.mark.parametrize("content", [PEM, DER, HEX.encode(), DIGEST], ids=str)
def test_a_file_may_hold_any_form(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pin"
    file.write_bytes(content)
    assert parse_pin(file) == DIGEST


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=32, max_size=32))
@example(bytes(32))  # As text it begins with "0", as every certificate does.
@example(b"0" + b"\xff" * 31)
@example(b"what a digest, all of it ASCII..")
def test_every_digest_survives_every_text_form(digest: bytes) -> None:
    text, encoded = digest.hex(), base64.b64encode(digest).decode()
    assert parse_pin(digest) == digest
    for form in (text, text.upper(), ":".join(re.findall("..", text)), encoded):
        assert parse_pin(form) == digest
        assert parse_pin(f" {form}\n".encode()) == digest


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "neither a certificate nor a fingerprint"),
        ("kitchen", "neither"),
        ("/etc/ssl/cert.pem", "neither"),
        (HEX[:-1], "63 hex digits"),
        (HEX + "0", "65 hex digits"),
        (hashlib.sha1(DER).hexdigest(), "40 hex digits: that is a SHA-1"),
        (hashlib.md5(DER).hexdigest(), "32 hex digits: that is an MD5"),
        (hashlib.md5(DER).hexdigest().encode(), "32 hex digits: that is an MD5"),
        ("g" + HEX[1:], "neither"),
        (DIGEST[:-1], "31 bytes are no certificate"),
        (b"", "neither"),
        (DER[:-1], "no certificate"),
        (DER + b"x", "no certificate"),
        (PEM[:-40], "can't be read"),
        (PEM + pem(certificate("root")), "holds 2 certificates"),
        (key_pem(key("kitchen")), "holds a private key"),
        (None, "NoneType is no certificate"),
        (4711, "int is no certificate"),
        (bytearray(DIGEST), "bytearray is no certificate"),
    ],
)
def test_anything_else_is_refused_with_its_reason(value: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        parse_pin(value)  # type: ignore[arg-type]
    assert caught.value.field == "pinned_server_certificate"


def test_the_message_names_the_argument_and_never_the_value() -> None:
    secret = key_pem(key("kitchen")).decode()
    with pytest.raises(ConfigError) as caught:
        parse_pin(secret, field="pins")
    assert caught.value.field == "pins"
    assert secret.splitlines()[1] not in str(caught.value)


def test_a_missing_or_endless_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        parse_pin(tmp_path / "none")
    big = tmp_path / "big"
    big.write_bytes(b"\x30" * (CERTIFICATE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="over 65536 bytes"):
        parse_pin(big)
