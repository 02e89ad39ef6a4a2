"""The quick start: two devices, one list, in one program.

It prints::

    van pulled 1 and pushed 1
    kitchen has ['apples', 'beets']
    van has ['apples', 'beets']
"""

from settee import Database, TLSIdentity, URLEndpointListener


# --8<-- [start:all]
def main() -> None:
    """Make two databases, let one listen, and sync the other with it."""
    with Database("kitchen") as kitchen, Database("van") as van:
        kitchen.default_collection["apples"] = {"name": "Apples", "quantity": 10}
        van.default_collection["beets"] = {"name": "Beets", "quantity": 5}

        identity = TLSIdentity.self_signed("kitchen", directory="keys")
        with URLEndpointListener(
            kitchen, host="127.0.0.1", tls_identity=identity, allow_anonymous=True
        ) as listener:
            result = van.replicate(listener.urls[0], pinned_server_certificate=identity.fingerprint)

        print(f"van pulled {result.pulled} and pushed {result.pushed}")
        print("kitchen has", list(kitchen.default_collection))
        print("van has", list(van.default_collection))


# --8<-- [end:all]
if __name__ == "__main__":
    main()
