"""Hostile clients: ``python -m tests.load.hostile PORT PIN COUNT SECONDS``.

A quarter each: who says a byte a second, who sends what inflates beyond bounds, who acknowledges
nonsense without end, who asks and does not read. Each comes back at once when it is sent away.
Prints how often that was, as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import contextlib
import json
import sys
import zlib
from typing import Any

from settee.blip.codec import Encoder
from settee.blip.frame import ACK_MSG, ACK_RPY, MSG, ack_frame
from settee.blip.message import encode_message
from settee.errors import SetteeError
from settee.net.dialer import DialPlan, dial
from settee.net.link import CloseInfo, Link
from settee.net.tls import Trust
from tests.load.server import PASSWORD

PER_ADDRESS = 30
TOO_MUCH = 24 * 2**20
BACK_S = 0.5
"""Before it comes back: without any it would be this process that is measured."""


class _Deaf:
    """The user of a link that notices its end and nothing else."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    def on_frames(self, frames: list[bytes]) -> None:
        pass

    def on_writable(self) -> None:
        pass

    def on_closed(self, info: CloseInfo) -> None:
        self.gone.set()


class Attackers:
    """All of them, and what became of them."""

    def __init__(self, port: int, pin: str) -> None:
        self.port = port
        self.pin = bytes.fromhex(pin)
        self.counts: collections.Counter[str] = collections.Counter()
        # Made once: deflating is dearer than inflating.
        deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
        whole = encode_message({"Profile": "rev", "id": "x", "rev": "1-aa"}, b"x" * TOO_MUCH)
        deflated = deflater.compress(whole) + deflater.flush(zlib.Z_SYNC_FLUSH)
        self.bomb = b"\x01\x08" + deflated[:-4] + b"\0\0\0\0"

    async def attack(self, number: int) -> None:
        kind = (self.slow, self.bombs, self.acks, self.deaf)[number % 4]
        while True:
            try:
                await kind(number)
            except (OSError, SetteeError):
                self.counts[f"{kind.__name__} kept out"] += 1
            else:
                self.counts[f"{kind.__name__} sent away"] += 1
            await asyncio.sleep(BACK_S)

    def address(self, number: int) -> str:
        return f"127.0.{100 + number // PER_ADDRESS}.1"

    async def slow(self, number: int) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(self.address(number), 0)
        )
        with contextlib.closing(writer):
            for byte in b"\x16\x03\x01\x02\x00" + b"\x01" * 500:
                writer.write(bytes((byte,)))
                with contextlib.suppress(TimeoutError):
                    if await asyncio.wait_for(reader.read(100), 1) == b"":
                        return

    async def link(self, number: int) -> tuple[Link, _Deaf]:
        pair = base64.b64encode(f"evil-{number}:{PASSWORD}".encode()).decode()
        plan = DialPlan(
            host="127.0.0.1",
            port=self.port,
            path="/load/_blipsync",
            secure=True,
            trust=Trust(pins=(self.pin,)),
            subprotocols=("BLIP_3+CBMobile_3",),
            headers=(("Authorization", f"Basic {pair}"),),
            local_address=self.address(number),
        )
        link, deaf = await dial(plan), _Deaf()
        link.attach(deaf)
        return link, deaf

    async def bombs(self, number: int) -> None:
        link, deaf = await self.link(number)
        link.send([self.bomb])
        await deaf.gone.wait()

    async def acks(self, number: int) -> None:
        link, deaf = await self.link(number)
        nonsense = [ack_frame(n, (ACK_MSG, ACK_RPY)[n % 2] | 0x30, 2**40) for n in range(200)]
        while not deaf.gone.is_set():
            if link.writable:
                link.send(nonsense)
            await asyncio.sleep(0.05)

    async def deaf(self, number: int) -> None:
        link, deaf = await self.link(number)
        encoder = Encoder(1)
        properties: dict[str, Any] = {"Profile": "subChanges", "continuous": "true"}
        link.send([encoder.frame(1, MSG, encode_message(properties, b""))])
        link.pause()
        asking = encode_message({"Profile": "getCheckpoint", "client": "x"}, b"")
        n = 1
        while not deaf.gone.is_set():
            if link.writable:
                link.send([encoder.frame(n := n + 1, MSG, asking) for _ in range(5)])
            await asyncio.sleep(0.1)


async def main() -> None:
    """Attack for so many seconds."""
    port, pin, count, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    attackers = Attackers(port, pin)
    tasks = [asyncio.create_task(attackers.attack(n)) for n in range(count)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(attackers.counts))


if __name__ == "__main__":
    asyncio.run(main())
