"""Two databases, one program each as a rule; here both are in one, so that it runs as it stands.

The kitchen listens with a certificate that it keeps; the van knows the password and pins the
certificate. The van's edit goes out, the kitchen's come in.

It prints::

    pulled 2, pushed 1
    van: apples 10, corn 3, plums 7
    kitchen: apples 10, corn 3, plums 7
    again: pulled 0, pushed 0
"""

from __future__ import annotations

from settee import (
    BasicAuthenticator,
    Collection,
    Database,
    ListenerPasswordAuthenticator,
    TLSIdentity,
    URLEndpointListener,
)


def check(user: str, password: str) -> bool:
    """Tell whether a peer may come in."""
    return (user, password) == ("van", "a long password")


def stock(items: Collection) -> str:
    """Return what there is, for people."""
    return ", ".join(f"{each['name']} {each['quantity']}" for each in items.documents())


def main() -> None:
    """Let the van sync with the kitchen, twice."""
    identity = TLSIdentity.self_signed("kitchen", directory="keys")
    with Database("kitchen") as kitchen, Database("van") as van:
        here = kitchen.collection("shop.items", create=True)
        here["1"] = {"name": "apples", "quantity": 10}
        here["2"] = {"name": "corn", "quantity": 3}
        there = van.collection("shop.items", create=True)
        there["3"] = {"name": "plums", "quantity": 7}

        with URLEndpointListener(
            kitchen,
            host="127.0.0.1",  # Leave it out to listen to the whole network.
            tls_identity=identity,
            authenticator=ListenerPasswordAuthenticator(check),
        ) as listener:
            login = BasicAuthenticator("van", "a long password")
            for word in ("", "again: "):
                result = van.replicate(
                    listener.urls[0],
                    authenticator=login,
                    pinned_server_certificate=identity.fingerprint,
                )
                print(f"{word}pulled {result.pulled}, pushed {result.pushed}")
                if not word:
                    print(f"van: {stock(there)}")
                    print(f"kitchen: {stock(here)}")


if __name__ == "__main__":
    main()
