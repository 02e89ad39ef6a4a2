"""The table: Kitchen, Shop and Van on one page, three processes that really sync.

- `crew`: the three processes of the app, led through their pipes
- `story`: what happened between them: the last journey, the three steps to try (pure)
- `page`: the page with its one Vue element
- `process`: ``python -m settee_inventory.table``
"""

from __future__ import annotations
