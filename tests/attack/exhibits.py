"""Certificates that are right, and certificates that are wrong in one respect each."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from settee.net.wire import certificate_pin

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Exhibit:
    """A certificate with its key, and what goes along with it."""

    certificate: x509.Certificate
    key: Any = field(repr=False)
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pin(self) -> bytes:
        return certificate_pin(self.der)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        return self.pem + b"".join(
            each.public_bytes(serialization.Encoding.PEM) for each in self.chain
        )

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    @property
    def pair(self) -> tuple[bytes, bytes]:
        return self.chain_pem, self.key_pem

    def file(self, directory: Path, name: str) -> Path:
        path = directory / f"{name}.pem"
        path.write_bytes(self.chain_pem + self.key_pem)
        return path


def made(
    common: str = "localhost",
    *,
    by: Exhibit | None = None,
    ca: bool = False,
    days: tuple[int, int] = (-1, 365),
    hosts: tuple[str, ...] = ("localhost",),
    usage: Any = None,
    key: Any = None,
    forged: bool = False,
    chain: tuple[x509.Certificate, ...] = (),
) -> Exhibit:
    """Make a certificate, self-signed unless `by` signs; `forged`: it only claims to be."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(by.certificate.subject if by else name)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    signer = by.key if by else own
    if forged:
        signer = ec.generate_private_key(ec.SECP256R1())
    return Exhibit(builder.sign(signer, hashes.SHA256()), own, chain)


@functools.cache
def with_sha1(by: Exhibit) -> Exhibit:
    """A certificate whose signature is over a SHA-1, which only OpenSSL's program still makes."""
    key = rsa.generate_private_key(65537, 2048)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        unsigned = made(key=key)
        (place / "key.pem").write_bytes(unsigned.key_pem)
        (place / "ca.pem").write_bytes(by.pem)
        (place / "ca.key").write_bytes(by.key_pem)
        (place / "ext").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        request = ["req", "-new", "-key", "key.pem", "-subj", "/CN=localhost", "-out", "csr"]
        sign = ["x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-sha1"]
        sign += ["-set_serial", "7", "-days", "30", "-extfile", "ext", "-out", "cert.pem"]
        for arguments in (request, sign):
            subprocess.run(["openssl", *arguments], cwd=place, check=True, capture_output=True)
        certificate = x509.load_pem_x509_certificate((place / "cert.pem").read_bytes())
    return Exhibit(certificate, key)


CA = made("An authority", ca=True, hosts=())
"""An authority that both the system and the roots that are given have."""
MIDDLE = made("A middle authority", by=CA, ca=True, hosts=())
PINNED = made(hosts=("localhost",))
STRANGER_CA = made("Another authority", ca=True, hosts=())
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
