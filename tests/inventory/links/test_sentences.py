"""Errors and states in words."""

from __future__ import annotations

import re

import pytest

from settee import (
    AuthenticationError,
    CertificateError,
    ConnectionFailedError,
    NotAPeerError,
    PeerProtocolError,
    RefusedError,
    SetteeError,
    StoreError,
    SyncError,
)
from settee_inventory.links.sentences import CHIPS, refusal, waiting_line

CERTIFICATE = "Network"


def said(error: SetteeError, check: str = "first use") -> str:
    return refusal(error, name="Back office", user="bob", check=check).line


@pytest.mark.parametrize(
    ("error", "check", "sentence"),
    [
        (AuthenticationError("401"), "first use", "it does not know “bob”"),
        (
            CertificateError("the certificate is not the pinned one"),
            "first use",
            "Back office shows another key than before",
        ),
        (
            CertificateError("the certificate is not the pinned one"),
            "pinned",
            "another certificate than the file",
        ),
        (CertificateError("x", domain=CERTIFICATE, code=7), "authority", "has ended"),
        (CertificateError("x", domain=CERTIFICATE, code=15), "authority", "another name"),
        (CertificateError("x", domain=CERTIFICATE, code=8), "authority", "is self-made"),
        (CertificateError("x", domain=CERTIFICATE, code=11), "authority", "does not know"),
        (CertificateError("only self-signed ones"), "none", "accepts only self-made ones"),
        (NotAPeerError("a listener with TLS; wss://"), "none", "Make both the same"),
        (NotAPeerError("a web server"), "none", "no inventory"),
        (RefusedError("x", domain="HTTP", code=404), "none", "no inventory called userdb"),
        (RefusedError("x", domain="HTTP", code=503), "none", "lets nobody in"),
        (PeerProtocolError("x"), "none", "an older version"),
        (SyncError("the peer has no collection shop.items"), "none", "as the original app does"),
        (StoreError("x"), "none", "Activity has the details"),
    ],
)
def test_each_refusal_is_a_sentence(error: SetteeError, check: str, sentence: str) -> None:
    assert sentence in said(error, check)


def test_sentences_are_for_shopkeepers() -> None:
    errors: list[SetteeError] = [
        AuthenticationError("HTTP 401 null BLIP"),
        CertificateError("TLS alert 42 BLIP"),
        NotAPeerError("HTTP 200 null"),
        RefusedError("HTTP 403"),
        PeerProtocolError("BLIP frame"),
    ]
    lines = [said(error) for error in errors]
    lines += [waiting_line(error) for error in errors]
    assert not [line for line in lines if re.search(r"\d{3}|BLIP|null|replicator|!", line)]


def test_every_refusal_has_a_next_step() -> None:
    for kind in (AuthenticationError, CertificateError, NotAPeerError, RefusedError):
        assert refusal(kind("x"), name="", user="", check="none").remedies


def test_a_device_that_does_not_answer_is_told_apart_from_one_that_is_unknown() -> None:
    gone = ConnectionFailedError("refused", domain="Network", code=1)
    unknown = ConnectionFailedError("there is no host", domain="Network", code=2)
    assert waiting_line(gone) != waiting_line(unknown)
    assert "name" in waiting_line(unknown)


def test_no_state_is_told_by_colour_alone() -> None:
    shown = [(chip.icon, chip.text) for chip in CHIPS.values()]
    assert all(icon and text for icon, text in shown)
    assert len(set(shown)) == len(shown)
