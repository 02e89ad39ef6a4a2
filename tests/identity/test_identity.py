"""Identities: made once, kept by label, loaded from files of others, and never told."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import logging
import os
import pickle
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    NoEncryption,
    pkcs12,
)

from settee.clock import SystemClock
from settee.errors import ConfigError, NotFoundError, StoreError
from settee.identity import TLSIdentity, vault
from settee.identity.identity import VALID_YEARS, _kept, _loaded
from tests.identity.certificates import certificate, key, key_pem, pem

UTC = datetime.UTC


class FrozenClock(SystemClock):
    """The wall clock stands still."""

    def __init__(self, moment: datetime.datetime) -> None:
        self._wall_ns = int(moment.timestamp()) * 10**9

    def wall_ns(self) -> int:
        return self._wall_ns


def extension(identity: TLSIdentity, kind: type[x509.ExtensionType]) -> x509.Extension:
    found = x509.load_der_x509_certificate(identity.certificate_der)
    return found.extensions.get_extension_for_class(kind)


# --- made and kept --------------------------------------------------------------------------------


@pytest.mark.feature("TLS-03")
def test_an_identity_is_made_once_and_loaded_after(tmp_path: Path) -> None:
    first = TLSIdentity.self_signed("kitchen", directory=tmp_path)
    again = TLSIdentity.self_signed("kitchen", directory=str(tmp_path))
    loaded = TLSIdentity.load("kitchen", tmp_path)
    other = TLSIdentity.self_signed("van", directory=tmp_path)

    assert first == again == loaded != other
    assert len({first, again, loaded, other}) == 2
    assert first.private_key_pem == again.private_key_pem == loaded.private_key_pem
    assert loaded.label == "kitchen"


def test_without_a_directory_it_is_kept_in_the_users_data_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "default_directory", lambda: tmp_path / "identities")
    made = TLSIdentity.self_signed("kitchen")
    assert TLSIdentity.load("kitchen", tmp_path / "identities") == made
    assert TLSIdentity.delete("kitchen")
    with pytest.raises(NotFoundError):
        TLSIdentity.load("kitchen")


def test_the_certificate_is_what_two_devices_need(tmp_path: Path) -> None:
    identity = TLSIdentity.self_signed("Kitchen", directory=tmp_path)
    info = identity.info

    assert info.subject == info.issuer == "CN=Kitchen"
    assert info.self_signed
    assert not info.is_ca
    assert info.dns_names == ("kitchen",)
    assert identity.fingerprint == hashlib.sha256(identity.certificate_der).hexdigest()
    parsed = x509.load_pem_x509_certificate(identity.certificate_pem)
    public = parsed.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert isinstance(public.curve, ec.SECP256R1)
    assert parsed.signature_hash_algorithm is not None
    assert parsed.signature_hash_algorithm.name == "sha256"
    assert extension(identity, x509.BasicConstraints).critical
    assert len(list(extension(identity, x509.ExtendedKeyUsage).value)) == 2


@pytest.mark.parametrize(
    ("label", "dns_names", "ip_addresses"),
    [
        ("till-2.shop.example", ("till-2.shop.example",), ()),
        ("192.168.1.5", (), ("192.168.1.5",)),
        ("fd00::2", (), ("fd00::2",)),
        ("Bob's phone", (), ()),
        ("under_score", (), ()),
        ("-dash", (), ()),
        ("küche", (), ()),
    ],
)
def test_only_a_label_that_can_be_a_host_becomes_one(
    tmp_path: Path, label: str, dns_names: tuple[str, ...], ip_addresses: tuple[str, ...]
) -> None:
    info = TLSIdentity.self_signed(label, directory=tmp_path).info
    assert info.dns_names == dns_names
    assert info.ip_addresses == ip_addresses
    assert TLSIdentity.load(label, tmp_path).info.fingerprint == info.fingerprint


def test_it_is_valid_for_ten_years_and_a_year_back(tmp_path: Path) -> None:
    now = datetime.datetime(2027, 3, 1, 12, tzinfo=UTC)
    identity = _kept("kitchen", tmp_path, FrozenClock(now))
    assert identity.info.not_before == now - datetime.timedelta(days=365)
    assert identity.expires == now + datetime.timedelta(days=365 * VALID_YEARS)


def test_a_clock_that_was_never_set_does_not_make_an_expired_identity(tmp_path: Path) -> None:
    identity = _kept("pi", tmp_path, FrozenClock(datetime.datetime(1970, 1, 2, tzinfo=UTC)))
    assert identity.info.valid_at(datetime.datetime(1970, 1, 1, tzinfo=UTC))
    assert identity.info.valid_at(datetime.datetime(2035, 12, 1, tzinfo=UTC))


@pytest.mark.parametrize(("days_left", "word"), [(31, None), (29, " ends on "), (-1, " ended on ")])
def test_an_end_that_comes_near_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, days_left: int, word: str | None
) -> None:
    made = TLSIdentity.self_signed("kitchen", directory=tmp_path)
    then = made.expires - datetime.timedelta(days=days_left)
    with caplog.at_level(logging.WARNING, "settee.identity"):
        assert _loaded("kitchen", tmp_path, FrozenClock(then)) == made
    warnings = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(warnings) == (word is not None)
    assert word is None or word in caplog.text


def test_an_anonymous_identity_is_new_each_time_and_stored_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault, "default_directory", lambda: tmp_path)
    one, two = TLSIdentity.anonymous(), TLSIdentity.anonymous()
    assert one != two
    assert one.info.self_signed
    assert list(tmp_path.iterdir()) == []


def test_deleting_tells_whether_there_was_one(tmp_path: Path) -> None:
    before = TLSIdentity.self_signed("kitchen", directory=tmp_path)
    assert TLSIdentity.delete("kitchen", tmp_path)
    assert not TLSIdentity.delete("kitchen", tmp_path)
    assert TLSIdentity.self_signed("kitchen", directory=tmp_path) != before


def test_many_threads_that_make_one_label_end_with_one_identity(tmp_path: Path) -> None:
    found: list[TLSIdentity] = []
    gate = threading.Barrier(8)

    def make() -> None:
        gate.wait()
        found.append(TLSIdentity.self_signed("kitchen", directory=tmp_path))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["kitchen.pem"]


def test_whoever_loses_the_race_takes_the_winners_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = vault.publish
    winner: list[TLSIdentity] = []

    def late(path: Path, data: bytes, what: str) -> bool:
        monkeypatch.setattr(vault, "publish", publish)
        winner.append(TLSIdentity.self_signed("kitchen", directory=tmp_path))
        return publish(path, data, what)

    monkeypatch.setattr(vault, "publish", late)
    assert TLSIdentity.self_signed("kitchen", directory=tmp_path) == winner[0]


def test_two_processes_that_make_one_label_end_with_one_identity(tmp_path: Path) -> None:
    code = (
        "import sys; from settee.identity import TLSIdentity; sys.stdin.read(1);"
        "print(TLSIdentity.self_signed('kitchen', directory=sys.argv[1]).fingerprint)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("g")
        process.stdin.flush()
    told = {process.communicate(timeout=30)[0].strip() for process in processes}
    assert told == {TLSIdentity.load("kitchen", tmp_path).fingerprint}


@pytest.mark.skipif(os.name != "posix", reason="mode bits are POSIX")
def test_a_key_that_others_can_read_is_not_used_and_not_replaced(tmp_path: Path) -> None:
    TLSIdentity.self_signed("kitchen", directory=tmp_path)
    file = tmp_path / "kitchen.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    content = file.read_bytes()
    file.chmod(0o644)
    for make in (TLSIdentity.self_signed, TLSIdentity.load):
        with pytest.raises(StoreError, match="mode 0644"):
            make("kitchen", directory=tmp_path)
    assert file.read_bytes() == content


@pytest.mark.parametrize("damage", ["", "cut key", "cut certificate", "other key", "junk"])
def test_a_damaged_file_is_told_and_not_replaced(tmp_path: Path, damage: str) -> None:
    identity = TLSIdentity.self_signed("kitchen", directory=tmp_path)
    file = tmp_path / "kitchen.pem"
    content = {
        "": b"",
        "cut key": identity.private_key_pem[:100] + identity.chain_pem,
        "cut certificate": identity.private_key_pem + identity.chain_pem[:-60],
        "other key": key_pem(key("other")) + identity.chain_pem,
        "junk": b"\x00\xff" * 500,
    }[damage]
    file.write_bytes(content)
    with pytest.raises(StoreError, match=r"identity 'kitchen' in '.*' is damaged") as caught:
        TLSIdentity.self_signed("kitchen", directory=tmp_path)
    assert "PRIVATE" not in str(caught.value)
    assert file.read_bytes() == content


# --- secrecy --------------------------------------------------------------------------------------


def test_the_private_key_shows_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        identity = TLSIdentity.self_signed("kitchen", directory=tmp_path)
        TLSIdentity.load("kitchen", tmp_path)
    secret = identity.private_key_pem.decode().splitlines()[1]
    shown = repr(identity) + str(identity) + f"{identity}" + repr(identity.info) + caplog.text
    assert secret not in shown
    assert "PRIVATE" not in shown
    assert repr(identity) == f"<TLSIdentity 'kitchen' {identity.fingerprint[:16]}…>"


def test_an_identity_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="private key"):
        pickle.dumps(TLSIdentity.anonymous())


# --- from elsewhere -------------------------------------------------------------------------------


@pytest.mark.feature("TLS-04", "TLS-09")
@pytest.mark.parametrize(
    "private",
    [
        rsa.generate_private_key(65537, 2048),
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
    ],
    ids=["RSA", "P-256", "P-384"],
)
def test_a_certificate_and_its_key_are_an_identity(private: object) -> None:
    cert = certificate("till", own_key=private)
    identity = TLSIdentity.from_pem(pem(cert), key_pem(private).decode())
    assert identity.label == "till"
    assert identity.certificate_pem == pem(cert)
    assert identity.private_key_pem == key_pem(private)
    assert identity.chain_pem == pem(cert)


def test_files_one_file_and_encrypted_keys_do_too(tmp_path: Path) -> None:
    cert, secret = pem(certificate("till")), key_pem(key("till"))
    locked = key_pem(key("till"), b"open sesame")
    (tmp_path / "cert.pem").write_bytes(cert)
    (tmp_path / "key.pem").write_bytes(secret)
    plain = TLSIdentity.from_pem(cert, secret)
    assert TLSIdentity.from_pem(tmp_path / "cert.pem", tmp_path / "key.pem") == plain
    assert TLSIdentity.from_pem(cert + secret) == plain
    assert TLSIdentity.from_pem(cert, locked, "open sesame") == plain
    assert TLSIdentity.from_pem(cert, locked, password=b"open sesame") == plain
    assert TLSIdentity.from_pem(cert, locked, "open sesame").private_key_pem == secret


def test_a_chain_is_put_in_order_and_strangers_left_out() -> None:
    leaf = certificate("till", issuer="intermediate")
    intermediate = certificate("intermediate", issuer="root")
    root, stranger = certificate("root"), certificate("stranger")
    mixed = b"".join(pem(c) for c in (root, stranger, intermediate, leaf))
    identity = TLSIdentity.from_pem(mixed, key_pem(key("till")))
    assert identity.label == "till"
    assert identity.certificate_pem == pem(leaf)
    assert identity.chain_pem == pem(leaf) + pem(intermediate) + pem(root)
    assert not identity.info.self_signed


@pytest.mark.parametrize(
    ("arguments", "field", "problem"),
    [
        ((b"", b""), "cert", "no readable PEM certificate"),
        ((pem(certificate("till"))[:-50], b""), "cert", "no readable"),
        ((pem(certificate("till")), b"junk"), "key", "no readable PEM private key"),
        ((pem(certificate("till")),), "key", "no readable PEM private key"),
        ((pem(certificate("till")), key_pem(key("van"))), "cert", "belongs to this private key"),
        ((pem(certificate("till")), key_pem(key("till"), b"x")), "password", "is encrypted"),
        (
            (pem(certificate("till")), key_pem(key("till"), b"x"), "wrong"),
            "key",
            "password is wrong",
        ),
        ((pem(certificate("till")), key_pem(key("till")), "x"), "password", "is not encrypted"),
        ((Path("/none/such.pem"), b""), "cert", "can't be read"),
        (
            (pem(certificate("till")), key_pem(ec.generate_private_key(ec.SECP256K1()))),
            "key",
            "curve secp256k1",
        ),
        (
            (pem(certificate("till")), key_pem(x25519.X25519PrivateKey.generate())),
            "key",
            "this kind of key",
        ),
    ],
)
def test_what_cannot_be_an_identity_is_refused_with_its_reason(
    arguments: tuple[bytes, ...], field: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem) as caught:
        TLSIdentity.from_pem(*arguments)
    assert caught.value.field == field
    assert "PRIVATE KEY" not in str(caught.value)


def test_a_weak_rsa_key_is_refused() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    with pytest.raises(ConfigError, match="has 1024 bits; 2048 are the least"):
        TLSIdentity.from_pem(pem(certificate("till", own_key=weak)), key_pem(weak))


@pytest.mark.parametrize("password", [None, "open sesame"])
def test_a_pkcs12_bundle_is_an_identity(tmp_path: Path, password: str | None) -> None:
    leaf, root = certificate("till", issuer="root"), certificate("root")
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    bundle = pkcs12.serialize_key_and_certificates(b"till", key("till"), leaf, [root], encryption)
    (tmp_path / "till.p12").write_bytes(bundle)
    identity = TLSIdentity.from_pkcs12(bundle, password)
    assert identity == TLSIdentity.from_pkcs12(tmp_path / "till.p12", password)
    assert identity.label == "till"
    assert identity.chain_pem == pem(leaf) + pem(root)
    assert identity.private_key_pem == key_pem(key("till"))


def test_pkcs12_faults_are_told_apart() -> None:
    locked = BestAvailableEncryption(b"right")
    full = pkcs12.serialize_key_and_certificates(
        b"till", key("till"), certificate("till"), None, locked
    )
    keyless = pkcs12.serialize_key_and_certificates(
        b"till", None, None, [certificate("till")], locked
    )
    bare = pkcs12.serialize_key_and_certificates(b"till", key("till"), None, None, locked)
    other = pkcs12.serialize_key_and_certificates(
        b"till", key("till"), None, [certificate("van")], locked
    )
    for data, password, problem in [
        (full, "wrong", "password is wrong"),
        (full, None, "password is wrong"),
        (full[:-20], "right", "can't be read"),
        (b"junk", "right", "can't be read"),
        (keyless, "right", "holds no private key"),
        (bare, "right", "holds no certificate"),
        (other, "right", "belongs to this private key"),
    ]:
        with pytest.raises(ConfigError, match=problem):
            TLSIdentity.from_pkcs12(data, password)


# --- in use ---------------------------------------------------------------------------------------


def test_two_identities_meet_over_tls_and_each_sees_the_other(tmp_path: Path) -> None:
    def context(side: int, own: TLSIdentity, trusted: TLSIdentity) -> ssl.SSLContext:
        made = ssl.SSLContext(side)
        made.check_hostname = False
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(cadata=trusted.certificate_pem.decode())
        file = tmp_path / f"{own.label}.chain"
        file.write_bytes(own.private_key_pem + own.chain_pem)
        made.load_cert_chain(file)
        return made

    shop = TLSIdentity.self_signed("shop", directory=tmp_path)
    van = TLSIdentity.self_signed("van", directory=tmp_path)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context(ssl.PROTOCOL_TLS_SERVER, shop, van).wrap_bio(up, down, server_side=True)
    client = context(ssl.PROTOCOL_TLS_CLIENT, van, shop).wrap_bio(down, up)
    waiting = {server, client}
    for _ in range(10):
        for side in (server, client):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
                waiting.discard(side)
    assert not waiting
    assert client.getpeercert(binary_form=True) == shop.certificate_der
    assert server.getpeercert(binary_form=True) == van.certificate_der
