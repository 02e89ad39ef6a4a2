"""Identity: keys, certificates, fingerprints, and who may come in by password.

The only room that knows `cryptography`. It opens no socket; what TLS needs leaves it as PEM or DER
bytes and plain values.
"""

from __future__ import annotations

from settee.identity.identity import TLSIdentity
from settee.identity.inspect import CertificateInfo, describe
from settee.identity.pins import PinSource, parse_pin
from settee.identity.sources import CertificateSource, certificates_pem
from settee.identity.users import HashedUsers

__all__ = [
    "CertificateInfo",
    "CertificateSource",
    "HashedUsers",
    "PinSource",
    "TLSIdentity",
    "certificates_pem",
    "describe",
    "parse_pin",
]
