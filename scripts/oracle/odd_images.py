"""Writes the odd but valid images that the server's tests send and that no Rust encoder at hand can make.

    python scripts/oracle/odd_images.py        (needs the PyPI package pillow; run in the project root)

Writes server/tests/fixtures/: cmyk.jpg, progressive.jpg, rotated.jpg (EXIF orientation 6), animated.gif, animated.png,
animated.webp. Each is under 2 KB; the first frame, and the whole of the still ones, is mostly red.
"""

import pathlib

from PIL import Image

FOLDER = pathlib.Path("server/tests/fixtures")
RED, BLUE = (210, 30, 30), (30, 30, 210)


def main():
    red, blue = Image.new("RGB", (24, 16), RED), Image.new("RGB", (24, 16), BLUE)
    red.convert("CMYK").save(FOLDER / "cmyk.jpg")
    red.save(FOLDER / "progressive.jpg", progressive=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    red.save(FOLDER / "rotated.jpg", exif=exif)
    for suffix in ("gif", "png", "webp"):
        red.save(FOLDER / f"animated.{suffix}", save_all=True, append_images=[blue], duration=100, loop=0)


if __name__ == "__main__":
    main()
