"""The sample app: a produce list that several devices keep together.

It is written against settee's public names only (`from settee import …`), so it shows what anybody
can build with them.

- `settee_inventory.data`: the 42 items with their pictures, and `seed`, which fills a database
- `settee_inventory.demo`: three devices in one terminal, found, synced, cut off and back again
"""

from __future__ import annotations
