"""The matrix, first part: what a listener speaks, as OpenSSL's own client sees it (12 cells)."""

from __future__ import annotations

import asyncio
import shutil
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from settee.net.tls import ServerTLS
from tests.attack.exhibits import made
from tests.attack.raw import ask
from tests.net.scene import door, runner

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")

ECDSA = made()
RSA = made(key=rsa.generate_private_key(65537, 2048))


class Cell(NamedTuple):
    version: str
    cipher: str
    curve: str
    rsa: bool
    spoken: bool


CELLS = [
    Cell("-tls1", "ECDHE-RSA-AES128-SHA", "P-256", True, False),
    Cell("-tls1_1", "ECDHE-RSA-AES128-SHA", "P-256", True, False),
    Cell("-tls1_2", "ECDHE-RSA-AES128-GCM-SHA256", "X25519", True, True),
    Cell("-tls1_2", "ECDHE-ECDSA-CHACHA20-POLY1305", "P-256", False, True),
    Cell("-tls1_2", "ECDHE-RSA-AES256-GCM-SHA384", "P-384", True, True),
    Cell("-tls1_2", "ECDHE-RSA-AES128-SHA", "P-256", True, False),
    Cell("-tls1_2", "AES128-GCM-SHA256", "P-256", True, False),
    Cell("-tls1_2", "DHE-RSA-AES128-GCM-SHA256", "P-256", True, False),
    Cell("-tls1_2", "eNULL:aNULL", "P-256", True, False),
    Cell("-tls1_3", "TLS_AES_256_GCM_SHA384", "X25519", False, True),
    Cell("-tls1_3", "TLS_CHACHA20_POLY1305_SHA256", "P-256", False, True),
    Cell("-tls1_3", "TLS_AES_128_GCM_SHA256", "P-521", True, True),
]


async def openssl(
    port: int, *options: str, send: bytes = b"", until: bytes = b"HTTP/1.1 "
) -> bytes:
    """Connect with OpenSSL's client, send, and return what it shows up to an answer or its end."""
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost"),
        *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    shown = b""
    try:
        process.stdin.write(send)
        while piece := await process.stdout.read(65536):
            shown += piece
            if until in shown:
                break
    finally:
        if process.returncode is None:
            process.kill()
        process.stdin.close()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
    return shown


@pytest.mark.matrix
@pytest.mark.sec("SEC-03")
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: f"{cell.version[1:]}-{cell.cipher}")
def test_a_listener_speaks_what_is_safe_and_nothing_else(cell: Cell) -> None:
    """Guards `_restrict`: versions and ciphers."""
    shown_by = RSA if cell.rsa else ECDSA
    tls = ServerTLS(certificate_pem=shown_by.pem, private_key_pem=shown_by.key_pem)
    cipher = "-ciphersuites" if cell.version == "-tls1_3" else "-cipher"
    weak = "" if cell.version == "-tls1_3" else ":@SECLEVEL=0"

    async def play() -> None:
        async with door(tls) as listener:
            options = (cell.version, cipher, cell.cipher + weak, "-curves", cell.curve, "-ign_eof")
            shown = await openssl(listener.port, *options, send=ask())
            assert (b"HTTP/1.1 101" in shown) is cell.spoken
            assert len(listener.requests) == cell.spoken
            if not cell.spoken:
                assert b"HTTP" not in shown, "nothing but the alert"
                assert [refusal.stage for refusal in listener.refusals] == ["tls"]
                assert b"Cipher is (NONE)" in shown

    runner("asyncio")(play())


@pytest.mark.sec("SEC-03")
def test_a_client_that_begins_tls_anew_is_not_listened_to() -> None:
    """Guards OP_NO_RENEGOTIATION in `_restrict`: each new handshake would cost us a signature."""
    tls = ServerTLS(certificate_pem=ECDSA.pem, private_key_pem=ECDSA.key_pem)

    async def play() -> None:
        async with door(tls) as listener:
            shown = await openssl(listener.port, "-tls1_2", send=b"R\n", until=b"nothing")
            assert b"RENEGOTIATING" in shown
            assert b"no renegotiation" in shown
            assert listener.requests == []

    runner("asyncio")(play())


def test_there_are_twelve_cells() -> None:
    assert len(set(CELLS)) == 12
