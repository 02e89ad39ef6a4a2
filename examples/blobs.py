"""Pictures and other bytes beside the JSON of a document: in, out, and never whole in memory.

It prints::

    a.txt is text/plain, 11 bytes, sha1-Kq5sNclPz7QV2+lfQIuc6R7oRu0=
    its content: hello world
    the last word of it: world
    the same content is stored once: True
    the large one: 3000000 bytes, copied to large.bin
"""

from __future__ import annotations

from pathlib import Path

from settee import Blob, Database


def main() -> None:
    """Store a file, bytes and a stream, and read them in parts."""
    Path("a.txt").write_text("hello world", encoding="utf-8")
    with Database("album") as db:
        album = db.default_collection
        album["one"] = {"file": Blob.from_file("a.txt")}

        blob = album["one"]["file"]
        print(f"a.txt is {blob.content_type}, {blob.length} bytes, {blob.digest}")
        print("its content:", blob.read().decode())
        with blob.open() as stream:
            stream.seek(6)
            print("the last word of it:", stream.read().decode())

        album["two"] = {"pictures": [{"image": Blob.from_bytes(b"hello world", "text/plain")}]}
        same = album["two"].at("pictures[0].image")
        print("the same content is stored once:", same == blob)

        with Path("source.bin").open("wb") as file:
            file.write(bytes(3_000_000))
        with Path("source.bin").open("rb") as file:  # A pipe or a socket would do as well.
            album["three"] = {"large": Blob.from_stream(file)}
        large = album["three"]["large"]
        large.save_to("large.bin")
        size = Path("large.bin").stat().st_size
        print(f"the large one: {size} bytes, copied to large.bin")


if __name__ == "__main__":
    main()
