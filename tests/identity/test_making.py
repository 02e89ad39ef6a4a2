"""What stands in a certificate that is made here, who signs it, and for how long it holds."""

from __future__ import annotations

import datetime
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from settee import ConfigError, ExistsError, NotFoundError, TLSIdentity
from settee.clock import SystemClock
from settee.identity.making import (
    CertificateAttributes,
    make_certificate,
    moment,
    new_key,
    valid_for_days,
)
from tests.identity import certificates

CA = TLSIdentity.create("The fleet", authority=True)
DAY = datetime.timedelta(days=1)


def parsed(identity: TLSIdentity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.certificate_pem)


@pytest.mark.feature("TLS-10")
def test_all_attributes_stand_in_the_certificate() -> None:
    identity = TLSIdentity.create(
        "van 7",
        pseudonym="lorry",
        given_name="Va",
        surname="N",
        organization="Fruit Ltd",
        organizational_unit="Transport",
        postal_address="1 Road",
        locality="Bern",
        postal_code="3000",
        state="BE",
        country="CH",
        email="van@example.com",
        uri="https://example.com/van",
        registered_id="1.2.3.4",
        hosts=["van.local", "192.0.2.7", "fe80::7"],
    )
    names = {each.oid: each.value for each in parsed(identity).subject}
    assert names[NameOID.COMMON_NAME] == "van 7"
    assert names[NameOID.ORGANIZATION_NAME] == "Fruit Ltd"
    assert names[NameOID.COUNTRY_NAME] == "CH"
    assert names[x509.ObjectIdentifier("2.5.4.16")] == "1 Road"
    assert len(names) == 11
    alternative = parsed(identity).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [str(name.value) for name in alternative.value] == [
        "van.local",
        "192.0.2.7",
        "fe80::7",
        "van@example.com",
        "https://example.com/van",
        "<ObjectIdentifier(oid=1.2.3.4, name=Unknown OID)>",
    ]
    assert identity.info.common_name == "van 7"
    assert identity.info.dns_names == ("van.local",)
    assert identity.info.ip_addresses == ("192.0.2.7", "fe80::7")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"country": "Switzerland"}, "country"),
        ({"surname": ""}, "surname"),
        ({"locality": "a\nb"}, "locality"),
        ({"hosts": ["not a host"]}, "hosts"),
        ({"email": "ü@x"}, "email"),
        ({"registered_id": "x"}, "registered_id"),
        ({"usages": []}, "usages"),
        ({"usages": ["mail"]}, "usages"),
        ({"days": 0}, "days"),
        ({"days": 36526}, "days"),
        ({"issuer": TLSIdentity.create("no authority")}, "issuer"),
    ],
)
def test_what_can_not_be_in_a_certificate_is_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TLSIdentity.create("van", **options)
    assert caught.value.field == field
    with pytest.raises(ConfigError, match="label"):
        TLSIdentity.create("x" * 65)


@pytest.mark.feature("TLS-01")
@pytest.mark.parametrize(
    ("usages", "oids"),
    [
        (("server", "client"), {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}),
        (["server"], {ExtendedKeyUsageOID.SERVER_AUTH}),
        ("client", {ExtendedKeyUsageOID.CLIENT_AUTH}),
    ],
)
def test_a_certificate_says_which_roles_it_is_for(usages: Any, oids: set[Any]) -> None:
    certificate = parsed(TLSIdentity.create("van", usages=usages, days=30))
    extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert set(extended.value) == oids
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    assert 29 * DAY < left <= 30 * DAY


@pytest.mark.feature("TLS-02")
def test_an_authority_signs_others_whose_chain_holds_and_which_end_with_it() -> None:
    middle = TLSIdentity.create("Region", issuer=CA, authority=True, days=100)
    leaf = TLSIdentity.create("van", issuer=middle, days=200)
    assert [info.common_name for info in leaf.chain] == ["van", "Region", "The fleet"]
    assert leaf.chain_pem.count(b"BEGIN CERTIFICATE") == 3
    assert not leaf.info.self_signed
    assert leaf.info.not_after == middle.info.not_after
    for lower, upper in zip(leaf._chain, leaf._chain[1:], strict=False):
        lower.verify_directly_issued_by(upper)
    assert CA.info.is_ca
    assert CA.info.self_signed
    again = TLSIdentity.from_pem(leaf.chain_pem, leaf.private_key_pem)
    assert again.chain == leaf.chain


@pytest.mark.feature("TLS-02")
def test_openssl_follows_the_chain(tmp_path: Path) -> None:
    leaf = TLSIdentity.create("van", issuer=CA)
    (tmp_path / "ca").write_bytes(CA.certificate_pem)
    (tmp_path / "leaf").write_bytes(leaf.certificate_pem)
    try:
        done = subprocess.run(
            ["openssl", "verify", "-x509_strict", "-CAfile", tmp_path / "ca", tmp_path / "leaf"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("there is no openssl here")
    assert done.returncode == 0, done.stderr


def test_an_issuer_that_has_ended_or_has_another_key_signs_nothing() -> None:
    key = new_key()
    certificate = certificates.certificate("old")  # From June 2026 on, for a year.
    ended = (certificate.not_valid_after_utc, certificate.not_valid_after_utc + DAY)
    attributes = CertificateAttributes(common_name="x")
    with pytest.raises(ConfigError, match="has ended"):
        make_certificate(
            key, attributes, valid=ended, issuer=(certificate, certificates.key("old"))
        )
    with pytest.raises(ConfigError, match="does not belong"):
        make_certificate(key, attributes, valid=ended, issuer=(certificate, key))


def test_days_count_from_now_and_the_beginning_lies_a_year_back() -> None:
    clock = SystemClock()
    begin, end = valid_for_days(clock, 10)
    assert moment(clock) - begin >= 365 * DAY
    assert end - moment(clock) <= 10 * DAY


@pytest.mark.feature("TLS-05")
@pytest.mark.parametrize("legacy", [False, True])
def test_pkcs12_goes_both_ways_with_its_chain(legacy: bool) -> None:
    leaf = TLSIdentity.create("van", issuer=CA)
    bundle = leaf.to_pkcs12("pässword", legacy=legacy)
    assert TLSIdentity.from_pkcs12(bundle, "pässword").chain == leaf.chain
    assert TLSIdentity.from_pkcs12(bundle, "pässword").private_key_pem == leaf.private_key_pem
    with pytest.raises(ConfigError, match="password is wrong"):
        TLSIdentity.from_pkcs12(bundle, "password")
    with pytest.raises(ConfigError, match="password"):
        leaf.to_pkcs12("")


@pytest.mark.feature("TLS-11")
def test_a_peer_id_is_the_digest_of_the_certificate() -> None:
    assert CA.peer_id.hex() == CA.fingerprint
    assert len(CA.peer_id) == 32


@pytest.mark.feature("TLS-03", "TLS-06")
def test_an_identity_is_kept_under_a_label_that_is_free(tmp_path: Path) -> None:
    leaf = TLSIdentity.create("van", issuer=CA)
    kept = leaf.save("lorry", tmp_path)
    assert kept.label == "lorry"
    assert kept == leaf == TLSIdentity.load("lorry", tmp_path)
    assert TLSIdentity.load("lorry", tmp_path).chain == leaf.chain
    assert TLSIdentity.self_signed("lorry", directory=tmp_path) == leaf
    with pytest.raises(ExistsError, match="lorry"):
        CA.save("lorry", tmp_path)
    assert TLSIdentity.delete("lorry", tmp_path)
    with pytest.raises(NotFoundError):
        TLSIdentity.load("lorry", tmp_path)


@pytest.mark.feature("TLS-07", "TLS-08")
def test_a_certificate_can_be_read_and_shown(tmp_path: Path) -> None:
    info = CA.info
    assert info.pem == CA.certificate_pem
    assert info.der == CA.certificate_der
    assert info.not_after == CA.expires
    assert "BEGIN" not in repr(info)
    assert str(info.der) not in repr(info)
