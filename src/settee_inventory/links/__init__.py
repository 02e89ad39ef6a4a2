"""This device's place on the network, over `settee.aio`: one object for every page.

- `words`: the six words by which two people compare a certificate (pure)
- `addresses`: what a person types as an address, made a URL or a sentence (pure)
- `sentences`: the state of a link and its errors as words with a next step (pure)
- `remembered`: the devices that are known here, in a file
- `encryption`: the listener's four TLS modes and the four ways to check a certificate
- `listening`: the listener: start, stop, who is connected
- `link`: one device that this one dials
- `network`: listener, browser and links together, and the switch that cuts them all
"""

from __future__ import annotations

from settee_inventory.links.network import Network as Network

__all__ = ["Network"]
