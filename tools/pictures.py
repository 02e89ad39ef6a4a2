"""Make the produce pictures of the sample app: SVG for pages, PNG 256 x 256 for blobs.

There are 42 items, and second pictures of three of them. 23 and those three are glyphs of Fluent
Emoji Flat (MIT, Microsoft) out of the npm package ``@iconify-json/fluent-emoji-flat``; the other 19
were drawn for settee in the same style and lie beside the results as
``src/settee_inventory/pictures/NAME.svg``. This tool writes the SVGs of the glyphs and rasterises
all. The results are committed, since two databases that are seeded from them must hold the same
bytes: neither the npm package nor the rasteriser is needed to install or run settee.

To run it again, in a scratch directory (the versions decide the bytes)::

    npm pack @iconify-json/fluent-emoji-flat@1.2.6 && tar xzf iconify-json-*.tgz
    python -m venv venv && venv/bin/pip install resvg_py==0.5.0 pillow
    venv/bin/python tools/pictures.py package/icons.json            # writes
    venv/bin/python tools/pictures.py package/icons.json --check    # exit 1 if a byte would change
    venv/bin/python tools/pictures.py package/icons.json --sheet sheet.png   # all of them at 40 px
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import sys
from pathlib import Path
from typing import Final

PICTURES: Final = Path(__file__).resolve().parent.parent / "src" / "settee_inventory" / "pictures"
SIDE_PX: Final = 256
SHEET_PX: Final = 40

GLYPHS: Final = {
    "apples": "red-apple",
    "blueberries": "blueberries",
    "broccoli": "broccoli",
    "cantaloupes": "melon",
    "carrots": "carrot",
    "cherries": "cherries",
    "corn": "ear-of-corn",
    "cucumbers": "cucumber",
    "eggplant": "eggplant",
    "garlic": "garlic",
    "grapes": "grapes",
    "lettuce": "leafy-green",
    "mushrooms": "brown-mushroom",
    "onions": "onion",
    "peaches": "peach",
    "pears": "pear",
    "peas": "pea-pod",
    "peppers": "bell-pepper",
    "potatoes": "potato",
    "salad-greens": "green-salad",
    "strawberries": "strawberry",
    "tomatoes": "tomato",
    "watermelon": "watermelon",
}
"""Picture name -> glyph name in the icon set."""

EDITS: Final = {
    "edits/apples": "green-apple",
    "edits/mushrooms": "mushroom",
    "edits/peppers": "hot-pepper",
}
"""Second pictures of three items: what the demo's devices change them to."""

DRAWN: Final = (
    "arugula",
    "asparagus",
    "beets",
    "brussels-sprouts",
    "cabbage",
    "cauliflower",
    "celery",
    "chard",
    "kale",
    "leeks",
    "plums",
    "pumpkins",
    "radishes",
    "raspberries",
    "rhubarb",
    "spinach",
    "squash",
    "turnips",
    "zucchini",
)
"""Pictures that no emoji set has; their SVGs are sources."""


def glyph_svgs(icons: Path) -> dict[str, bytes]:
    """Return the SVG of each borrowed picture from the icon set's JSON at `icons`."""
    icon_set = json.loads(icons.read_text(encoding="utf-8"))
    width, height = icon_set.get("width", 16), icon_set.get("height", 16)
    svgs = {}
    for name, glyph in (GLYPHS | EDITS).items():
        icon = icon_set["icons"][glyph]
        box = f"0 0 {icon.get('width', width)} {icon.get('height', height)}"
        svgs[name] = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="128" height="128">'
            f"{icon['body']}</svg>\n"
        ).encode()
    return svgs


def png(svg: bytes, side_px: int = SIDE_PX) -> bytes:
    """Return `svg` as a transparent PNG of `side_px` x `side_px`; the same bytes each time."""
    # Imported by name: the rasteriser is a tool of this script, not a dependency of settee.
    rasteriser = importlib.import_module("resvg_py")
    picture = rasteriser.svg_to_bytes(
        svg_string=svg.decode(), width=side_px, height=side_px, skip_system_fonts=True
    )
    return bytes(picture)


def sheet(svgs: dict[str, bytes], destination: Path) -> None:
    """Write all pictures at 40 px, in rows of 14 on white, to `destination`."""
    image_module = importlib.import_module("PIL.Image")
    cell_px, columns = SHEET_PX + 12, 14
    rows = -(-len(svgs) // columns)
    canvas = image_module.new("RGBA", (cell_px * columns, cell_px * rows), "white")
    for place, name in enumerate(sorted(svgs)):
        picture = image_module.open(io.BytesIO(png(svgs[name], SHEET_PX)))
        corner = (place % columns * cell_px + 6, place // columns * cell_px + 6)
        canvas.alpha_composite(picture.convert("RGBA"), corner)
    canvas.convert("RGB").save(destination)


def main() -> int:
    """Write, compare or show the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("icons", type=Path, help="icons.json of @iconify-json/fluent-emoji-flat")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet here instead")
    options = parser.parse_args()

    svgs = glyph_svgs(options.icons)
    svgs |= {name: (PICTURES / f"{name}.svg").read_bytes() for name in DRAWN}
    if options.sheet:
        sheet(svgs, options.sheet)
        return 0
    files = {f"{name}.svg": svg for name, svg in svgs.items()}
    files |= {f"{name}.png": png(svg) for name, svg in svgs.items()}
    different = [
        name
        for name, content in sorted(files.items())
        if not (PICTURES / name).exists() or (PICTURES / name).read_bytes() != content
    ]
    if options.check:
        for name in different:
            print(f"differs: {name}")
        return 1 if different else 0
    (PICTURES / "edits").mkdir(exist_ok=True)
    for name in different:
        (PICTURES / name).write_bytes(files[name])
    print(f"{len(svgs)} pictures, {len(different)} files written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
