"""The listener's modes and the ways to check a certificate."""

from __future__ import annotations

from pathlib import Path

import pytest

from settee import ConfigError, TLSIdentity
from settee_inventory.links.encryption import (
    CHECKS,
    check_options,
    identity_of,
    keep_own,
    own_identity,
)


def bundle(password: str = "secret") -> bytes:
    return TLSIdentity.create("shop").to_pkcs12(password)


def test_the_generated_identity_is_kept_and_the_anonymous_one_is_not(tmp_path: Path) -> None:
    first = identity_of("generated", tmp_path)["tls_identity"]
    assert identity_of("generated", tmp_path)["tls_identity"] == first
    assert identity_of("anonymous", tmp_path) == {"tls_identity": None}


def test_without_encryption_there_is_no_certificate(tmp_path: Path) -> None:
    assert identity_of("none", tmp_path) == {"tls": False, "allow_plaintext_passwords": True}


def test_an_own_file_is_asked_for_then_kept_then_replaced(tmp_path: Path) -> None:
    assert own_identity(tmp_path) is None
    with pytest.raises(LookupError, match="Choose the certificate file"):
        identity_of("own", tmp_path)
    first = keep_own(bundle(), "secret", tmp_path)
    assert identity_of("own", tmp_path)["tls_identity"].fingerprint == first.fingerprint
    second = keep_own(bundle(), "secret", tmp_path)
    kept = own_identity(tmp_path)
    assert kept is not None
    assert kept.fingerprint == second.fingerprint != first.fingerprint


def test_a_wrong_password_leaves_the_former_file_in_use(tmp_path: Path) -> None:
    first = keep_own(bundle(), "secret", tmp_path)
    with pytest.raises(ConfigError):
        keep_own(bundle(), "wrong", tmp_path)
    kept = own_identity(tmp_path)
    assert kept is not None
    assert kept.fingerprint == first.fingerprint


def test_each_check_has_its_options() -> None:
    given = {"fingerprint": "ab" * 32, "pinned": "PEM", "roots": b"ROOTS"}
    options = {check: check_options(check, **given) for check in CHECKS}  # type: ignore[arg-type]
    assert options == {
        "first use": {"pinned_server_certificate": "ab" * 32},
        "pinned": {"pinned_server_certificate": "PEM"},
        "authority": {"trusted_roots": b"ROOTS"},
        "none": {"accept_only_self_signed": True, "trust_on_first_use": False},
    }


def test_nobody_is_dialled_before_the_words_were_compared_or_the_file_chosen() -> None:
    for check in ("first use", "pinned"):
        with pytest.raises(LookupError):
            check_options(check, fingerprint="", pinned=None, roots=None)
