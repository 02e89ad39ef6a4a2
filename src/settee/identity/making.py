"""Making certificates: what stands in them, for how long they hold, and who signs them.

Source: RFC 5280; the names of attributes are those of Couchbase Lite's certificate attributes.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from settee.clock import Clock
from settee.errors import ConfigError

__all__ = [
    "CertificateAttributes",
    "VALID_YEARS",
    "PrivateKey",
    "Usage",
    "make_certificate",
    "moment",
    "new_key",
    "valid_for_days",
    "valid_for_years",
]

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Usage = Literal["server", "client"]

VALID_YEARS: Final = 10
"""A pinned certificate is trusted by its hash. An end of its life adds no safety (whoever steals
the key has it today; the remedy is a new identity), it only stops a device in the field on a day
that nobody remembers. Ten years outlive the device."""

_DAYS_MAX: Final = 36525
_BACKDATED: Final = datetime.timedelta(days=365)
"""Devices without a battery for their clock wake up in the past, and must not find the certificate
"not yet valid"."""

_CLOCK_FLOOR: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
"""A clock before this one has not been set yet; the years count from here at the earliest, else an
identity made on such a device would be over when its clock is right."""

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

_DNS_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    r"(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*\Z",
    re.IGNORECASE,
)

_USAGES: Final = {
    "server": ExtendedKeyUsageOID.SERVER_AUTH,
    "client": ExtendedKeyUsageOID.CLIENT_AUTH,
}

_POSTAL_ADDRESS: Final = ObjectIdentifier("2.5.4.16")

_SUBJECT: Final = {
    "common_name": NameOID.COMMON_NAME,
    "pseudonym": NameOID.PSEUDONYM,
    "given_name": NameOID.GIVEN_NAME,
    "surname": NameOID.SURNAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "postal_address": _POSTAL_ADDRESS,
    "locality": NameOID.LOCALITY_NAME,
    "postal_code": NameOID.POSTAL_CODE,
    "state": NameOID.STATE_OR_PROVINCE_NAME,
    "country": NameOID.COUNTRY_NAME,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateAttributes:
    """What a certificate says of whom it is for. All but the common name may be left out."""

    common_name: str
    pseudonym: str | None = None
    given_name: str | None = None
    surname: str | None = None
    organization: str | None = None
    organizational_unit: str | None = None
    postal_address: str | None = None
    locality: str | None = None
    postal_code: str | None = None
    state: str | None = None
    country: str | None = None
    """Two letters."""
    hosts: Sequence[str] | None = None
    """Host names and IP addresses that it is good for; None: the common name, if it can be one."""
    email: str | None = None
    uri: str | None = None
    registered_id: str | None = None
    """An object identifier in dotted form."""

    def subject(self) -> x509.Name:
        """Return the distinguished name; raises ConfigError naming the attribute."""
        parts = []
        for field, oid in _SUBJECT.items():
            value = getattr(self, field)
            if value is None:
                continue
            if not isinstance(value, str) or not value.strip() or not value.isprintable():
                raise ConfigError(field, "must be printable text")
            try:
                parts.append(x509.NameAttribute(oid, value))
            except (ValueError, TypeError) as exc:
                raise ConfigError(field, f"can't be in a certificate: {exc}") from None
        return x509.Name(parts)

    def alternative_names(self) -> list[x509.GeneralName]:
        """Return the other names; raises ConfigError naming the attribute."""
        names: list[x509.GeneralName] = []
        if self.hosts is None:
            own = _host_name(self.common_name)
            names += [] if own is None else [own]
        else:
            for host in (self.hosts,) if isinstance(self.hosts, str) else self.hosts:
                name = _host_name(host)
                if name is None:
                    raise ConfigError("hosts", f"{host!r} is no host name and no IP address")
                names.append(name)
        try:
            field = "email"
            if self.email is not None:
                names.append(x509.RFC822Name(self.email))
            field = "uri"
            if self.uri is not None:
                names.append(x509.UniformResourceIdentifier(self.uri))
            field = "registered_id"
            if self.registered_id is not None:
                names.append(x509.RegisteredID(ObjectIdentifier(self.registered_id)))
        except ValueError as exc:
            raise ConfigError(field, f"can't be in a certificate: {exc}") from None
        return names


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key on the curve P-256, which every peer takes."""
    return ec.generate_private_key(ec.SECP256R1())


def moment(clock: Clock) -> datetime.datetime:
    """Return the time of a clock, whole seconds in UTC."""
    return datetime.datetime.fromtimestamp(clock.wall_ns() // 10**9, datetime.UTC)


def valid_for_years(clock: Clock) -> tuple[datetime.datetime, datetime.datetime]:
    """Return the dates of an identity that is to be pinned: from a year ago, for ten years."""
    now = moment(clock)
    begin = max(now - _BACKDATED, _EPOCH)
    return begin, max(now, _CLOCK_FLOOR) + datetime.timedelta(days=365 * VALID_YEARS)


def valid_for_days(clock: Clock, days: int) -> tuple[datetime.datetime, datetime.datetime]:
    """Return the dates of a certificate for so many days; raises ConfigError."""
    if not 1 <= days <= _DAYS_MAX:
        raise ConfigError("days", f"must be 1 to {_DAYS_MAX}, not {days}")
    begin, _ = valid_for_years(clock)
    return begin, moment(clock) + datetime.timedelta(days=days)


def make_certificate(
    key: PrivateKey,
    attributes: CertificateAttributes,
    *,
    valid: tuple[datetime.datetime, datetime.datetime],
    usages: Iterable[Usage] = ("server", "client"),
    authority: bool = False,
    issuer: tuple[x509.Certificate, PrivateKey] | None = None,
) -> x509.Certificate:
    """Return a certificate for `key`, signed with it, or by `issuer`.

    It does not hold for longer than its issuer's. Raises ConfigError naming what can't be.
    """
    subject = attributes.subject()
    begin, end = valid
    signer, issuer_name, issuer_key_public = key, subject, key.public_key()
    if issuer is not None:
        upper, signer = issuer
        if upper.public_key() != signer.public_key():
            raise ConfigError("issuer", "has a key that does not belong to its certificate")
        issuer_name, issuer_key_public = upper.subject, signer.public_key()
        begin = max(begin, upper.not_valid_before_utc)
        end = min(end, upper.not_valid_after_utc)
        if begin >= end:
            raise ConfigError("issuer", f"has ended on {end:%Y-%m-%d}; it can sign nothing now")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_key_usage(authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if not authority:
        builder = builder.add_extension(_extended_usage(usages), critical=False)
    if issuer is not None:
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key_public), critical=False
        )
    names = attributes.alternative_names()
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(signer, digest)


def _extended_usage(usages: Iterable[Usage]) -> x509.ExtendedKeyUsage:
    wanted = (usages,) if isinstance(usages, str) else tuple(usages)
    if not wanted or any(usage not in _USAGES for usage in wanted):
        raise ConfigError("usages", 'must be "server", "client" or both')
    return x509.ExtendedKeyUsage([_USAGES[usage] for usage in dict.fromkeys(wanted)])


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _host_name(label: str) -> x509.GeneralName | None:
    try:
        return x509.IPAddress(ipaddress.ip_address(label))
    except ValueError:
        return x509.DNSName(label.lower()) if _DNS_NAME.match(label) else None
