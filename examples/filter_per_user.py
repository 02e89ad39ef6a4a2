"""One listener, several users: each gets and may change what is theirs.

The listener decides, not the peer: `authorize` is asked about each document that a user would get
or wants to write. Beside it, a peer's own filter saves it from sending what it need not.

It prints::

    alice has: plan, todo-alice
    bob has: plan, todo-bob
    bob may not change the plan: the listener refused 1 document
    the office has: plan (by the boss), todo-alice, todo-bob
"""

from __future__ import annotations

from settee import (
    AccessRequest,
    BasicAuthenticator,
    Database,
    Document,
    DocumentFlags,
    HashedUsers,
    ListenerPasswordAuthenticator,
    ReplicationResult,
    URLEndpointListener,
)

NOBODYS = "everybody"
"""Owner of documents that all may read and nobody may write."""


# --8<-- [start:may]
def may(request: AccessRequest) -> bool:
    """Tell whether a user may get a document, or write it."""
    owner = request.document.get("owner")
    if request.write:
        return owner == request.user
    return owner in (request.user, NOBODYS)


# --8<-- [end:may]


def users() -> HashedUsers:
    """Return who may come in at all."""
    table = HashedUsers()
    for name in ("alice", "bob"):
        table.add(name, f"the password of {name}")
    return table


def is_no_draft(document: Document, flags: DocumentFlags) -> bool:
    """Keep drafts at home."""
    return not document.get("draft", False)


def sync(phone: Database, user: str, listener: URLEndpointListener) -> ReplicationResult:
    """Sync a user's phone with the office."""
    assert listener.tls_identity is not None
    return phone.replicate(
        listener.urls[0],
        authenticator=BasicAuthenticator(user, f"the password of {user}"),
        pinned_server_certificate=listener.tls_identity.fingerprint,
        push_filter=is_no_draft,
    )


def main() -> None:
    """Let two users sync with the office, and one try too much."""
    with Database("office") as office, Database("alice") as alice, Database("bob") as bob:
        tasks = office.default_collection
        tasks["plan"] = {"owner": NOBODYS, "text": "by the boss"}
        tasks["todo-alice"] = {"owner": "alice", "text": "count the apples"}
        bob.default_collection["todo-bob"] = {"owner": "bob", "text": "wash the van"}
        bob.default_collection["idea"] = {"owner": "bob", "draft": True}

        with URLEndpointListener(
            office,
            host="127.0.0.1",
            authenticator=ListenerPasswordAuthenticator(users()),
            authorize=may,
        ) as listener:
            sync(alice, "alice", listener)
            sync(bob, "bob", listener)
            print("alice has:", ", ".join(alice.default_collection))
            bobs = [each.id for each in bob.default_collection.documents() if "draft" not in each]
            print("bob has:", ", ".join(bobs))

            bob.default_collection["plan"] = {"owner": "bob", "text": "by bob"}
            errors = sync(bob, "bob", listener).errors
            print(
                f"bob may not change the {errors[0].doc_id}: "
                f"the listener refused {len(errors)} document"
            )
        plan = tasks["plan"]["text"]
        print(f"the office has: plan ({plan}), {', '.join(id for id in tasks if id != 'plan')}")


if __name__ == "__main__":
    main()
