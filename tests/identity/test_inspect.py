"""What `identity.inspect` reads out of certificates, and what it makes of junk."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from settee.errors import CertificateError
from settee.identity.inspect import describe, fingerprint_of
from settee.limits import CERTIFICATE_BYTES_MAX
from tests.identity.certificates import WHEN, YEAR, certificate, der, key, name

GOOD = der(certificate("kitchen"))


def test_a_certificate_is_read_whole() -> None:
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("kitchen.local"),
            x509.DNSName("kitchen"),
            x509.IPAddress(ipaddress.ip_address("192.168.1.5")),
            x509.IPAddress(ipaddress.ip_address("fd00::2")),
        ]
    )
    data = der(certificate("kitchen", extensions=((names, False),)))

    info = describe(data)

    assert info.subject == "CN=kitchen"
    assert info.issuer == "CN=kitchen"
    assert info.not_before == WHEN
    assert info.not_after == WHEN + YEAR
    assert info.self_signed
    assert info.fingerprint == hashlib.sha256(data).hexdigest() == fingerprint_of(data)
    assert info.dns_names == ("kitchen.local", "kitchen")
    assert info.ip_addresses == ("192.168.1.5", "fd00::2")
    assert not info.is_ca
    assert info.serial == 4711


def test_dates_are_in_utc_and_include_both_ends() -> None:
    info = describe(GOOD)
    second = datetime.timedelta(seconds=1)

    assert info.not_before.tzinfo is datetime.UTC
    assert info.valid_at(WHEN)
    assert info.valid_at(WHEN + YEAR)
    assert not info.valid_at(WHEN - second)
    assert not info.valid_at(WHEN + YEAR + second)


@pytest.mark.parametrize("ca", [True, False])
def test_basic_constraints_tell_an_authority(ca: bool) -> None:
    constraints = x509.BasicConstraints(ca=ca, path_length=None)
    assert describe(der(certificate("root", extensions=((constraints, True),)))).is_ca is ca


@pytest.mark.parametrize(
    "private",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
    ],
    ids=["RSA", "P-384", "P-521"],
)
def test_self_signatures_of_other_keys_are_verified_too(private: object) -> None:
    assert describe(der(certificate("other", own_key=private))).self_signed


def test_an_ed25519_self_signature_is_verified_too() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder().subject_name(name("ed")).issuer_name(name("ed"))
    builder = builder.public_key(private.public_key()).serial_number(1)
    builder = builder.not_valid_before(WHEN).not_valid_after(WHEN + YEAR)
    assert describe(der(builder.sign(private, None))).self_signed


def test_a_certificate_signed_by_another_name_is_not_self_signed() -> None:
    info = describe(der(certificate("kitchen", issuer="authority")))
    assert not info.self_signed
    assert info.issuer == "CN=authority"


def test_equal_names_with_another_keys_signature_are_not_self_signed() -> None:
    forged = der(certificate("kitchen", signed_with=key("somebody else")))
    assert describe(forged).subject == describe(forged).issuer
    assert not describe(forged).self_signed


def test_a_changed_signature_is_not_self_signed() -> None:
    changed = bytearray(GOOD)
    changed[-1] ^= 1
    assert not describe(bytes(changed)).self_signed


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"\x30",
        b"\x30\x80",
        b"hello",
        b"-----BEGIN CERTIFICATE-----",
        GOOD[:-1],
        GOOD + b"\x00",
        b"\x30\x84\xff\xff\xff\xff" + GOOD,
    ],
    ids=["empty", "tag", "endless", "text", "pem", "cut", "longer", "length lies"],
)
def test_junk_is_a_certificate_error_that_is_not_worth_a_retry(junk: bytes) -> None:
    with pytest.raises(CertificateError) as caught:
        describe(junk)
    assert not caught.value.transient
    assert caught.value.domain == "Network"


def test_a_damaged_extension_is_a_certificate_error() -> None:
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x01\x02\x03")
    with pytest.raises(CertificateError, match="no readable X"):
        describe(der(certificate("kitchen", extensions=((broken, False),))))


def test_size_is_bounded() -> None:
    def padded(count: int) -> bytes:
        pad = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.1"), b"x" * count)
        return der(certificate("kitchen", extensions=((pad, False),)))

    overhead = len(padded(CERTIFICATE_BYTES_MAX // 2)) - CERTIFICATE_BYTES_MAX // 2
    # ECDSA signatures vary by a byte or two: a little below the bound is as near as it gets.
    assert describe(padded(CERTIFICATE_BYTES_MAX - overhead - 8)).self_signed
    with pytest.raises(CertificateError, match=f"more than the {CERTIFICATE_BYTES_MAX} accepted"):
        describe(padded(CERTIFICATE_BYTES_MAX - overhead + 8))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=600))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    with pytest.raises(CertificateError):
        describe(data)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_is_described_or_refused(place: int, change: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= change
    try:
        info = describe(bytes(data))
    except CertificateError:
        return
    assert info.fingerprint != describe(GOOD).fingerprint
    assert not info.self_signed, "a change anywhere must break the signature"


def test_a_serial_number_that_cannot_be_is_refused_where_warnings_are_errors() -> None:
    place = GOOD.index(b"\x02\x02\x12\x67") + 2  # INTEGER, 2 bytes, 4711
    negative = GOOD[:place] + b"\xff" + GOOD[place + 1 :]
    with pytest.raises(CertificateError):
        describe(negative)
