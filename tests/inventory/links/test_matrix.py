"""Every TLS mode of a listener against every check of a caller: it connects, or says why not."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from settee import TLSIdentity
from tests.inventory.web.desks import do, introduce, opened, peer_of, state_of, until

# Two real devices each: certificates, hashed passwords, databases that are synced to disk.
pytestmark = pytest.mark.slow

OTHER_KEY = "another key than before"
OTHER_FILE = "another certificate than the file that you chose"
SELF_MADE = "self-made, and this device accepts only those of an authority"
OTHER_AUTHORITY = "of an authority that this device does not know"
NOT_SELF_MADE = "of an authority, and this device accepts only self-made ones"
ONE_SIDE = "One side encrypts, the other does not"
CONNECTS = ""

MATRIX = {
    "generated": {
        "first use": CONNECTS,
        "pinned to it": CONNECTS,
        "pinned to another": OTHER_FILE,
        "its authority": SELF_MADE,
        "another authority": SELF_MADE,
        "none": CONNECTS,
    },
    "anonymous": {
        "first use": OTHER_KEY,
        "pinned to it": OTHER_FILE,
        "pinned to another": OTHER_FILE,
        "its authority": SELF_MADE,
        "another authority": SELF_MADE,
        "none": CONNECTS,
    },
    "own": {
        "first use": OTHER_KEY,
        "pinned to it": CONNECTS,
        "pinned to another": OTHER_FILE,
        "its authority": CONNECTS,
        "another authority": OTHER_AUTHORITY,
        "none": NOT_SELF_MADE,
    },
    "none": dict.fromkeys(
        (
            "first use",
            "pinned to it",
            "pinned to another",
            "its authority",
            "another authority",
            "none",
        ),
        ONE_SIDE,
    ),
}
"""For each mode and check the sentence of the refusal; `CONNECTS` where there is none."""


class Papers:
    """Two authorities, and a certificate of the first for this machine."""

    def __init__(self) -> None:
        self.authority = TLSIdentity.create("Our authority", authority=True)
        self.other = TLSIdentity.create("Their authority", authority=True)
        self.shop = TLSIdentity.create(
            "Shop", issuer=self.authority, hosts=["127.0.0.1", "localhost"]
        )


def text(data: bytes) -> str:
    """A file as the page sends it."""
    return base64.b64encode(data).decode()


async def check(desk: Any, how: str, papers: Papers, shown: bytes) -> None:
    """Choose a check, with the file that it needs; `shown`: the certificate of the listener."""
    files = {
        "pinned to it": ("pinned", shown),
        "pinned to another": ("pinned", papers.other.certificate_pem),
        "its authority": ("roots", papers.authority.certificate_pem),
        "another authority": ("roots", papers.other.certificate_pem),
    }
    if how in files:
        what, data = files[how]
        await do(desk, "certificate_file", what=what, file=text(data))
    names = {"first use": "first use", "none": "none"}
    kind = names.get(how) or ("pinned" if "pinned" in how else "authority")
    await do(desk, "option", name="check", value=kind)


@pytest.mark.parametrize("mode", MATRIX)
def test_each_check_connects_or_says_why_not(tmp_path: Path, mode: str) -> None:
    async def scene() -> None:
        papers = await asyncio.to_thread(Papers)
        async with opened(tmp_path, "Shop") as shop, opened(tmp_path, "Van", "join") as van:
            key = await introduce(van, shop)
            bundle = papers.shop.to_pkcs12("secret")
            own = {"file": text(bundle), "password": "secret"} if mode == "own" else {}
            await do(shop, "encryption", mode=mode, **own)
            assert shop.network is not None
            listener = shop.network.listening.listener
            assert listener is not None
            identity = listener.tls_identity or papers.shop
            # Of an anonymous listener nobody has the file: its key is another at each start.
            shown = papers.shop if mode == "anonymous" else identity
            found = {}
            for how in MATRIX[mode]:
                await check(van, how, papers, shown.certificate_pem)
                found[how] = await outcome(van, key)
            assert {how: said in found[how] for how, said in MATRIX[mode].items()} == dict.fromkeys(
                MATRIX[mode], True
            ), found
            assert [how for how, said in found.items() if not said] == [
                how for how, said in MATRIX[mode].items() if said == CONNECTS
            ]

    asyncio.run(scene())


async def outcome(desk: Any, key: str) -> str:
    """Return what the Browser says of a refusal; nothing if the device is in sync."""
    await until(lambda: state_of(desk, key) in ("in sync", "refused", "retrying"))
    if state_of(desk, key) == "retrying":
        await do(desk, "retry", key=key)
        await until(lambda: state_of(desk, key) in ("in sync", "refused"))
    return "" if state_of(desk, key) == "in sync" else str(peer_of(desk, key)["line"])
