"""A web service with its own database, and a replicator that lives as long as the service does.

The lifespan opens the database and starts the replicator; both end with it. Requests read and write
the local database, so they work, and are as fast, whether the peer is there or not.

To serve it: ``SETTEE_PEER=wss://… SETTEE_PIN=31e64db3… uvicorn fastapi_app:app``. Run as a program
it plays a scene: the peer is in the same process, and the requests reach the app without a socket.

It prints::

    GET /items: []
    PUT /items/apples: 200
    the peer has: apples 10
    GET /health: 0 pending
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request

from settee import UsageError
from settee.aio import Collection, Database, Replicator, URLEndpointListener


# --8<-- [start:lifespan]
@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the database and stay in sync with the peer until the service ends."""
    async with Database("service") as db:
        app.state.items = await db.collection("shop.items", create=True)
        async with Replicator(
            db,
            os.environ["SETTEE_PEER"],
            continuous=True,
            pinned_server_certificate=os.environ["SETTEE_PIN"],
        ) as replicator:
            app.state.replicator = replicator
            yield


app = FastAPI(lifespan=lifespan)


# --8<-- [end:lifespan]
def items_of(request: Request) -> Collection:
    """Return the collection that the lifespan opened."""
    items: Collection = request.app.state.items
    return items


Items = Annotated[Collection, Depends(items_of)]


@app.get("/items")
async def list_items(items: Items) -> list[dict[str, Any]]:
    """Return all items."""
    return [{"id": item.id, **item.to_dict()} async for item in items.documents()]


@app.get("/items/{id}")
async def read_item(id: str, items: Items) -> dict[str, Any]:
    """Return one item."""
    item = await items.get(id)
    if item is None:
        raise HTTPException(404, f"there is no item {id}")
    return item.to_dict()


# --8<-- [start:write]
@app.put("/items/{id}")
async def write_item(id: str, body: dict[str, Any], items: Items) -> dict[str, str]:
    """Save an item; it is on the disk when this answers."""
    try:
        document = await items.put(id, body)
    except UsageError as error:  # A name or a value that no peer could take.
        raise HTTPException(422, str(error)) from error
    return {"revision": document.revision}


# --8<-- [end:write]
@app.get("/health")
async def health(request: Request) -> dict[str, Any]:
    """Tell how the replicator is."""
    replicator: Replicator = request.app.state.replicator
    pending = await replicator.pending("shop.items")
    return {"activity": replicator.status.activity.value, "pending": len(pending)}


async def play(peer: Database) -> None:
    """Start the service, make requests, and see what the peer has."""
    theirs = await peer.collection("shop.items")
    inside = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=inside, base_url="http://service") as client,
        theirs.document_changes("apples") as arrivals,
    ):
        print("GET /items:", (await client.get("/items")).json())
        put = await client.put("/items/apples", json={"name": "Apples", "quantity": 10})
        print("PUT /items/apples:", put.status_code)
        await anext(arrivals)
        print("the peer has: apples", (await theirs["apples"])["quantity"])
        replicator: Replicator = app.state.replicator
        await replicator.wait_for("idle", timeout=10)
        told = (await client.get("/health")).json()
        print(f"GET /health: {told['pending']} pending")


async def main() -> None:
    """Play the peer too."""
    async with Database("peer") as peer:
        await peer.collection("shop.items", create=True)
        listener = URLEndpointListener(peer, host="127.0.0.1", allow_anonymous=True)
        async with listener:
            assert listener.tls_identity is not None
            os.environ["SETTEE_PEER"] = listener.urls[0]
            os.environ["SETTEE_PIN"] = listener.tls_identity.fingerprint
            await play(peer)


if __name__ == "__main__":
    asyncio.run(main())
