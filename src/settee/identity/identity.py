"""A peer's identity: a key pair and the certificate that the other side sees and may pin.

Between two devices there is no certification authority to ask. A certificate is trusted because it
is *that* certificate, known by its SHA-256, so an identity is made once and kept.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final, NoReturn, final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from settee.clock import Clock, SystemClock
from settee.errors import ConfigError, ExistsError, NotFoundError, StoreError
from settee.identity import vault
from settee.identity.inspect import READ_ERRORS, CertificateInfo, describe_certificate
from settee.identity.making import (
    VALID_YEARS,
    CertificateAttributes,
    PrivateKey,
    Usage,
    make_certificate,
    moment,
    new_key,
    valid_for_days,
    valid_for_years,
)
from settee.logs import room_log

__all__ = ["VALID_YEARS", "TLSIdentity"]

_log: Final = room_log("identity")

_WARN_BEFORE_END: Final = datetime.timedelta(days=30)
_RSA_BITS_MIN: Final = 2048


@final
class TLSIdentity:
    """A private key and its certificate, with the chain above it if there is one.

    Make one with `self_signed`, `load`, `anonymous`, `from_pem` or `from_pkcs12`. Immutable. The
    private key shows in no repr, no log and no pickle.
    """

    __slots__ = ("_chain", "_info", "_key", "_label", "_pem")

    def __init__(self, label: str, key: PrivateKey, chain: list[x509.Certificate]) -> None:
        """Use the class methods instead; `chain` begins with the certificate of `key`."""
        self._label: Final = label
        self._key: Final = key
        self._chain: Final = tuple(chain)
        self._info: Final = describe_certificate(chain[0])
        self._pem: Final = tuple(c.public_bytes(serialization.Encoding.PEM) for c in chain)

    @classmethod
    def self_signed(cls, label: str, *, directory: str | Path | None = None) -> TLSIdentity:
        """Load the identity with this label; make and keep it if there is none yet.

        The key is on the curve P-256, the certificate is for ten years, for both roles, names
        `label` as its subject and, if it can be a host's name or address, as that too. Two
        processes that do this at once end with the same identity.

        `directory` is by default settee's own in the user's data directory; it is made if needed.
        Raises ConfigError for a label of no or more than 64 characters, or with unprintable ones;
        StoreError if the file can't be written, is damaged, or can be read by other users.
        """
        return _kept(label, directory, SystemClock())

    @classmethod
    def load(cls, label: str, directory: str | Path | None = None) -> TLSIdentity:
        """Load the identity that `self_signed` made.

        Raises NotFoundError if there is none with this label; StoreError as `self_signed` does.
        """
        return _loaded(label, directory, SystemClock())

    @classmethod
    def delete(cls, label: str, directory: str | Path | None = None) -> bool:
        """Delete the identity with this label; tell whether there was one.

        Peers that pinned it will refuse whatever takes its place.
        """
        path = vault.label_path(_directory(directory), label)
        return vault.remove(path, f"the identity {label!r}")

    @classmethod
    def anonymous(cls) -> TLSIdentity:
        """Make an identity that lives in memory only and is gone with the process."""
        return _made("anonymous", SystemClock())

    @classmethod
    def create(
        cls,
        common_name: str,
        *,
        issuer: TLSIdentity | None = None,
        authority: bool = False,
        usages: Iterable[Usage] = ("server", "client"),
        days: int | None = None,
        hosts: Sequence[str] | None = None,
        pseudonym: str | None = None,
        given_name: str | None = None,
        surname: str | None = None,
        organization: str | None = None,
        organizational_unit: str | None = None,
        postal_address: str | None = None,
        locality: str | None = None,
        postal_code: str | None = None,
        state: str | None = None,
        country: str | None = None,
        email: str | None = None,
        uri: str | None = None,
        registered_id: str | None = None,
    ) -> TLSIdentity:
        """Make an identity with a new P-256 key, in memory; `save` keeps it under a label.

        Args:
            common_name: Whom the certificate is for, 1 to 64 characters.
            issuer: Signs it, which takes one that was made with ``authority=True``; None: it signs
                itself. It holds no longer than its issuer, whose chain goes along with it.
            authority: Whether it may sign others, and nothing else.
            usages: ``"server"``, ``"client"`` or both: the roles that it is good for.
            days: How long it holds, 1 to 36,525; None: ten years.
            hosts: Host names and IP addresses of the listener; None: the common name, if it can be
                one. They matter to peers that verify by an authority, not to those that pin.
            pseudonym, given_name, surname, organization, organizational_unit, postal_address,
            locality, postal_code, state, country: Further parts of its name.
            email, uri, registered_id: Further alternative names.

        Raises:
            ConfigError: An argument can't be in a certificate, or `issuer` may not sign.
        """
        given = locals()
        names = {each.name: given[each.name] for each in fields(CertificateAttributes)}
        vault.check_label(common_name)
        signer = None
        if issuer is not None:
            if not issuer.info.is_ca:
                raise ConfigError("issuer", "may not sign others; make it with authority=True")
            signer = (issuer._chain[0], issuer._key)
        clock = SystemClock()
        key = new_key()
        certificate = make_certificate(
            key,
            CertificateAttributes(**names),
            valid=valid_for_years(clock) if days is None else valid_for_days(clock, days),
            usages=usages,
            authority=authority,
            issuer=signer,
        )
        return cls(common_name, key, [certificate, *(issuer._chain if issuer else ())])

    @classmethod
    def from_pem(
        cls,
        cert: str | bytes | Path,
        key: str | bytes | Path | None = None,
        password: str | bytes | None = None,
    ) -> TLSIdentity:
        """Use a certificate and a key in PEM form.

        `cert` may hold the chain too, in any order; `key` may be left out if `cert` holds it. Each
        is PEM text or bytes, or a `Path` to a file. `password` decrypts the key. The label is the
        certificate's common name.

        Raises ConfigError, naming the argument, if one can't be read, if the key belongs to none of
        the certificates, or if it is weak (RSA under 2,048 bits) or of a kind that TLS peers do not
        take (RSA, P-256, P-384, P-521 and Ed25519 are possible).
        """
        cert_data = _argument("cert", cert)
        key_data = cert_data if key is None else _argument("key", key)
        return _from_pem(cert_data, key_data, password)

    @classmethod
    def from_pkcs12(cls, data: bytes | Path, password: str | bytes | None) -> TLSIdentity:
        """Use a PKCS#12 bundle (``.p12``, ``.pfx``), given as bytes or as a `Path`.

        Raises ConfigError if the password is wrong, if the bundle can't be read or lacks the key or
        its certificate, or if the key is one that `from_pem` would not take.
        """
        bundle = _argument("data", data)
        try:
            key, leaf, others = pkcs12.load_key_and_certificates(bundle, _secret(password))
        except READ_ERRORS as exc:
            raise ConfigError(
                "data", "this PKCS#12 bundle can't be read, or the password is wrong"
            ) from exc
        certificates = [*([leaf] if leaf is not None else []), *others]
        if key is None or not certificates:
            missing = "private key" if key is None else "certificate"
            raise ConfigError("data", f"this PKCS#12 bundle holds no {missing}")
        return _joined(_usable(key, "data"), certificates, "data")

    def save(self, label: str, directory: str | Path | None = None) -> TLSIdentity:
        """Keep this identity under a label, from where `load` and `self_signed` take it.

        Returns it with that label. Raises ExistsError if the label is taken; ConfigError and
        StoreError as `self_signed` does.
        """
        path = vault.label_path(_directory(directory), label)
        data = self.private_key_pem + self.chain_pem
        if not vault.publish(path, data, f"the identity {label!r}"):
            raise ExistsError(f"there is an identity {label!r} already; delete it first")
        return TLSIdentity(label, self._key, list(self._chain))

    def to_pkcs12(self, password: str | bytes, *, legacy: bool = False) -> bytes:
        """Return key, certificate and chain as a PKCS#12 bundle, encrypted with `password`.

        `legacy` takes the ciphers of before 2020 (3DES and SHA-1), which old phones and key chains
        want; without it AES-256 and SHA-256. Raises ConfigError for an empty password.
        """
        secret = _secret(password)
        if not secret:
            raise ConfigError("password", "is empty; the bundle holds the private key")
        encryption: serialization.KeySerializationEncryption
        encryption = serialization.BestAvailableEncryption(secret)
        if legacy:
            encryption = (
                serialization.PrivateFormat.PKCS12.encryption_builder()
                .kdf_rounds(20_000)
                .key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
                .hmac_hash(hashes.SHA1())  # noqa: S303 - what those devices read
                .build(secret)
            )
        upper = list(self._chain[1:]) or None
        return pkcs12.serialize_key_and_certificates(
            self._label.encode(), self._key, self._chain[0], upper, encryption
        )

    @property
    def label(self) -> str:
        """The label that it is kept under, or its certificate's common name."""
        return self._label

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate: 64 lower-case hex digits. What a peer pins."""
        return self._info.fingerprint

    @property
    def expires(self) -> datetime.datetime:
        """When the certificate ends (an aware datetime in UTC)."""
        return self._info.not_after

    @property
    def info(self) -> CertificateInfo:
        """Everything else that the certificate says."""
        return self._info

    @property
    def chain(self) -> tuple[CertificateInfo, ...]:
        """The certificate, then those above it."""
        return (self._info, *(describe_certificate(upper) for upper in self._chain[1:]))

    @property
    def peer_id(self) -> bytes:
        """By which a peer is known: the SHA-256 of its certificate, 32 bytes."""
        return bytes.fromhex(self._info.fingerprint)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone, as PEM."""
        return self._pem[0]

    @property
    def certificate_der(self) -> bytes:
        """The certificate alone, as DER: the bytes that the fingerprint is of."""
        return self._chain[0].public_bytes(serialization.Encoding.DER)

    @property
    def chain_pem(self) -> bytes:
        """The certificate, then those above it, as one PEM text. What TLS sends."""
        return b"".join(self._pem)

    @property
    def private_key_pem(self) -> bytes:
        """The private key, unencrypted, as PKCS#8 PEM. Keep it out of logs and files."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TLSIdentity):
            return NotImplemented
        return self._info.fingerprint == other._info.fingerprint

    def __hash__(self) -> int:
        return hash(self._info.fingerprint)

    def __repr__(self) -> str:
        return f"<TLSIdentity {self._label!r} {self._info.fingerprint[:16]}…>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TLSIdentity can't be pickled: its private key would go along")


# --- made and kept -------------------------------------------------------------------------------


def _directory(directory: str | Path | None) -> Path:
    return vault.default_directory() if directory is None else Path(directory)


def _kept(label: str, directory: str | Path | None, clock: Clock) -> TLSIdentity:
    try:
        return _loaded(label, directory, clock)
    except NotFoundError:
        made = _made(label, clock)
    path = vault.label_path(_directory(directory), label)
    if vault.publish(path, made.private_key_pem + made.chain_pem, f"the identity {label!r}"):
        _log.info("identity %r made, SHA-256 %s", label, made.fingerprint)
        return made
    return _loaded(label, directory, clock)  # Somebody was faster; theirs is the one.


def _loaded(label: str, directory: str | Path | None, clock: Clock) -> TLSIdentity:
    path = vault.label_path(_directory(directory), label)
    data = vault.read(path, f"the identity {label!r}")
    try:
        found = _from_pem(data, data, None)
    except ConfigError as exc:
        raise StoreError(
            f"the identity {label!r} in {str(path)!r} is damaged ({exc}); restore the file, or "
            f"delete it and make a new identity, which peers have to trust anew"
        ) from exc
    left = found.expires - moment(clock)
    if left < _WARN_BEFORE_END:
        _log.warning(
            "the certificate of identity %r %s on %s; make a new one, and have peers pin that",
            label,
            "ended" if left < datetime.timedelta(0) else "ends",
            found.expires.date(),
        )
    return TLSIdentity(label, found._key, list(found._chain))


def _made(label: str, clock: Clock) -> TLSIdentity:
    key = new_key()
    certificate = make_certificate(
        key, CertificateAttributes(common_name=label), valid=valid_for_years(clock)
    )
    return TLSIdentity(label, key, [certificate])


# --- from elsewhere ------------------------------------------------------------------------------


def _argument(field: str, value: str | bytes | Path) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, Path):
        try:
            return value.read_bytes()
        except OSError as exc:
            raise ConfigError(field, f"{str(value)!r} can't be read: {exc.strerror}") from exc
    return value


def _secret(password: str | bytes | None) -> bytes | None:
    return password.encode() if isinstance(password, str) else password


def _from_pem(cert: bytes, key: bytes, password: str | bytes | None) -> TLSIdentity:
    try:
        certificates = x509.load_pem_x509_certificates(cert)
    except READ_ERRORS as exc:
        raise ConfigError("cert", "holds no readable PEM certificate") from exc
    try:
        private = serialization.load_pem_private_key(key, _secret(password))
    except UnsupportedAlgorithm as exc:
        raise ConfigError("key", "is of a kind that is not supported") from exc
    except TypeError as exc:  # A password is missing, or there is one too many.
        problem = "is encrypted; give its password" if password is None else "is not encrypted"
        raise ConfigError("password", f"the private key {problem}") from exc
    except ValueError as exc:
        also = "" if password is None else ", or the password is wrong"
        raise ConfigError("key", f"holds no readable PEM private key{also}") from exc
    return _joined(_usable(private, "key"), certificates, "cert")


def _usable(key: object, field: str) -> PrivateKey:
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < _RSA_BITS_MIN:
            raise ConfigError(
                field, f"this RSA key has {key.key_size} bits; {_RSA_BITS_MIN} are the least"
            )
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1):
            raise ConfigError(field, f"peers do not take the curve {key.curve.name}; use P-256")
        return key
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise ConfigError(field, "peers do not take this kind of key; use P-256 or RSA")


def _joined(key: PrivateKey, certificates: list[x509.Certificate], field: str) -> TLSIdentity:
    """Find the certificate of the key, put it first, and those that signed it behind in order."""
    try:
        public = key.public_key()
        leaf = next((c for c in certificates if c.public_key() == public), None)
        if leaf is None:
            raise ConfigError(field, "no certificate here belongs to this private key")
        chain, rest = [leaf], [c for c in certificates if c is not leaf]
        while upper := next((c for c in rest if c.subject == chain[-1].issuer), None):
            chain.append(upper)
            rest.remove(upper)
        return TLSIdentity(describe_certificate(leaf).common_name or "", key, chain)
    except READ_ERRORS as exc:
        if isinstance(exc, ConfigError):
            raise
        raise ConfigError(field, f"a certificate is damaged ({type(exc).__name__})") from exc
