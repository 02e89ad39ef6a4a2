"""The same with asyncio: a task that edits, one that watches, and a peer, on one event loop.

It prints::

    saved 20 documents in tasks of their own
    the watcher saw the order of 1 crate
    the peer has 21 documents
"""

from __future__ import annotations

import asyncio

from settee.aio import Collection, Database, Replicator, URLEndpointListener


async def watch(orders: Collection, ready: asyncio.Event) -> None:
    """Wait for an order that somebody else saves."""
    async with orders.document_changes("order") as changes:
        ready.set()
        await anext(changes)
    order = await orders["order"]
    print(f"the watcher saw the order of {order['crates']} crate")


async def main() -> None:
    """Edit in many tasks, watch, and let a peer come."""
    async with Database("here") as here, Database("there") as there:
        orders = await here.collection("orders", create=True)
        await there.collection("orders", create=True)
        await asyncio.gather(*(orders.put(f"{number}", {"n": number}) for number in range(20)))
        print(f"saved {await orders.count()} documents in tasks of their own")

        ready = asyncio.Event()
        watcher = asyncio.create_task(watch(orders, ready))
        await ready.wait()
        await orders.put("order", {"crates": 1})
        await watcher

        async with URLEndpointListener(here, host="127.0.0.1", allow_anonymous=True) as listener:
            assert listener.tls_identity is not None
            async with Replicator(
                there,
                listener.urls[0],
                continuous=True,
                pinned_server_certificate=listener.tls_identity.fingerprint,
            ) as replicator:
                await replicator.wait_for("idle", timeout=10)
        arrived = await there.collection("orders")
        print(f"the peer has {await arrived.count()} documents")


if __name__ == "__main__":
    asyncio.run(main())
