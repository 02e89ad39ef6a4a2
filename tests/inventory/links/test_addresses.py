"""What people type as an address."""

from __future__ import annotations

import pytest

from settee_inventory.links.addresses import AddressError, invitation, read_address

PRINT = "ab" * 32


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("192.168.1.7:4984", "wss://192.168.1.7:4984/userdb"),
        ("  shop.local:4984  ", "wss://shop.local:4984/userdb"),
        ("[fe80::1]:4984", "wss://[fe80::1]:4984/userdb"),
        ("wss://shop.local:4984/other", "wss://shop.local:4984/other"),
        ("ws://10.0.0.1:80/userdb", "ws://10.0.0.1:80/userdb"),
        ("192.168.1.7:4984/list", "wss://192.168.1.7:4984/list"),
    ],
)
def test_addresses_become_urls(typed: str, url: str) -> None:
    assert read_address(typed).url == url


def test_without_encryption_here_an_address_without_scheme_is_dialled_without() -> None:
    assert read_address("192.168.1.7:4984", tls=False).url == "ws://192.168.1.7:4984/userdb"


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Type an address"),
        ("192.168.1.7", "Add a port, for example 192.168.1.7:4984."),
        ("fe80::1", r"Add a port, for example \[fe80::1\]:4984."),
        ("shop.local", "Add a port, for example shop.local:4984."),
        ("192.168.1.7:99999", "The port is a number"),
        ("http://192.168.1.7:80", "begins with wss://"),
        ("wss://bob:secret@host:4984/x", "no place for a user"),
        ("300.1.1.1:4984", "neither a name nor an address"),
        ("a b:4984", "Type an address"),
        ("<script>:4984", "neither a name nor an address"),
        ("192.168.1.7:4984#12", "no fingerprint"),
        ("x" * 500, "Type an address"),
    ],
)
def test_what_cannot_be_dialled_is_told_in_a_sentence(typed: str, sentence: str) -> None:
    with pytest.raises(AddressError, match=sentence):
        read_address(typed)


def test_an_invitation_says_the_address_and_the_certificate() -> None:
    text = invitation("wss://192.168.1.7:4984/userdb", PRINT)
    address = read_address(text)
    assert (address.url, address.fingerprint) == ("wss://192.168.1.7:4984/userdb", PRINT)
    assert read_address(invitation("wss://a.local:1/userdb", None)).fingerprint is None
