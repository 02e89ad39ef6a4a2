from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from settee import ConfigError, TLSIdentity
from settee.identity import certificates_pem
from settee.limits import CERTIFICATE_BYTES_MAX

ONE, TWO = TLSIdentity.create("one"), TLSIdentity.create("two")


def digests(given: object) -> list[str]:
    return [digest.hex() for _, digest in certificates_pem(given, field="roots")]  # type: ignore[arg-type]


def test_certificates_come_in_every_form(tmp_path: Path) -> None:
    file = tmp_path / "one.pem"
    file.write_bytes(ONE.certificate_pem)
    forms = [
        ONE,
        ONE.info,
        ONE.certificate_pem,
        ONE.certificate_pem.decode(),
        ONE.certificate_der,
        ONE._chain[0],
        file,
    ]
    for form in forms:
        assert digests(form) == [ONE.fingerprint]
        assert digests([form, TWO]) == [ONE.fingerprint, TWO.fingerprint]
    assert digests(forms) == [ONE.fingerprint], "each once"
    assert digests(ONE.certificate_pem + TWO.certificate_pem) == [ONE.fingerprint, TWO.fingerprint]
    ((pem, digest),) = certificates_pem(ONE, field="roots")
    assert pem == ONE.certificate_pem
    assert digest == hashlib.sha256(ONE.certificate_der).digest()


@pytest.mark.parametrize(
    "given",
    [
        [],
        b"",
        "canary",
        b"\x30\x03canary",
        ONE.private_key_pem,
        ONE.fingerprint,
        bytes.fromhex(ONE.fingerprint),
        17,
        [ONE, None],
        Path("/nowhere/x.pem"),
    ],
    ids=range(10),  # A fingerprint would give the test another name in each process.
)
def test_what_is_no_certificate_is_refused_and_never_repeated(given: object) -> None:
    with pytest.raises(ConfigError, match="roots") as caught:
        digests(given)
    assert "canary" not in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_a_file_is_read_up_to_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(b"x" * (64 * CERTIFICATE_BYTES_MAX + 1))
    with pytest.raises(ConfigError, match="has over"):
        digests(file)
