"""Freezes what Pillow makes of small images, for models/tests/host.

Run from the project's root, with Pillow 13 and NumPy installed:

    python scripts/oracle/host_fixtures.py [FOLDER_OF_ODD_IMAGES]

Writes models/tests/fixtures/host: small image files, `decode.json` (what each decodes to), `resize.json`, `prepare.json`,
`colour.json` and `trivial.json` (checksums of results on images both sides generate from a seed). With the optional folder it also writes
`odd_images.json`, what every file under it decodes to. Needs torchvision as well for `prepare.json`, `colour.json` and
`trivial.json`, and opencv-python for `hsv.json`.
"""

import io
import json
import struct
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

OUT = Path("models/tests/fixtures/host")
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def noise(width, height, seed):
    """The test image of a seed: a mixed hash of each value's index. The tests compute the same."""
    i = np.arange(width * height * 3, dtype=np.uint32)
    x = i * np.uint32(2654435761) + np.uint32(seed) * np.uint32(40503)
    x ^= x >> np.uint32(15)
    x *= np.uint32(2246822519)
    x ^= x >> np.uint32(13)
    return Image.fromarray((x >> np.uint32(8)).astype(np.uint8).reshape(height, width, 3))


def scene(width, height):
    """A smooth picture without symmetry, which survives lossy coding well."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / width, y / height
    r = 40 + 190 * u
    g = 220 - 180 * v
    b = 120 + 90 * np.sin(3 * u + 2 * v)
    return Image.fromarray(np.stack([r, g, b], -1).round().astype(np.uint8))


def crc(image):
    return zlib.crc32(image.convert("RGB").tobytes())


def resize_cases():
    sizes = [
        # source, target
        ((64, 48), (32, 24)), ((64, 48), (128, 96)), ((37, 53), (224, 224)), ((499, 666), (224, 224)),
        ((333, 17), (21, 200)), ((1, 1), (5, 7)), ((1, 90), (3, 31)), ((90, 1), (31, 3)), ((5, 5), (1, 1)),
        ((1000, 3), (7, 3)), ((3, 1000), (3, 7)), ((256, 256), (256, 100)), ((256, 256), (100, 256)), ((40, 40), (40, 40)),
        ((2000, 1500), (224, 224)), ((17, 16), (16, 17)), ((2, 2), (63, 65)), ((4000, 2), (1, 1)),
        # On both sides of the shape from which Pillow 13 resamples columns before rows.
        ((40, 70), (10, 10)), ((40, 71), (10, 10)), ((40, 12), (41, 11)), ((40, 12), (41, 12)), ((40, 50), (20, 10)),
        ((40, 51), (20, 10)), ((120, 900), (100, 200)), ((31, 77), (8, 19)),
    ]
    cases = []
    for seed, ((w, h), (ow, oh)) in enumerate(sizes):
        boxes = [None]
        if w > 1 and h > 1:
            boxes += [(0.25 * w / 3, h / 7, w * 0.9, h * 0.77), (0, 0, w / 2, h), (w / 3.3, h / 3.3, w / 3.3 + 0.4, h / 3.3 + 0.6),
                      (1, 1, w, h)]
        for box in boxes:
            for name, filter in FILTERS.items():
                out = noise(w, h, seed).resize((ow, oh), filter, box=box)
                cases.append({
                    "source": [w, h], "seed": seed, "box": [0, 0, w, h] if box is None else list(box), "target": [ow, oh],
                    "filter": name, "crc": crc(out), "first": list(out.getpixel((0, 0))),
                })
    return cases


def prepare_cases():
    from torchvision import transforms

    cases = []
    plans = [(256, 224), (224, 224), (235, 224), (232, 129), (33, 32), (8, 5), (20, 31), (30, 31)]
    sizes = [(499, 666), (666, 499), (64, 64), (31, 77), (301, 8), (1, 40), (256, 300)]
    for seed, (w, h) in enumerate(sizes):
        for resize, crop in plans:
            for name, filter in FILTERS.items():
                full = transforms.Compose([
                    transforms.Resize(resize, interpolation=transforms.InterpolationMode(name)), transforms.CenterCrop(crop)])
                cases.append({"source": [w, h], "seed": seed, "resize": resize, "crop": crop, "filter": name,
                              "crc": crc(full(noise(w, h, seed)))})
    return cases


def crop_cases():
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as F

    cases = []
    for seed, (top, left, height, width) in enumerate([(3, 5, 40, 50), (0, 0, 97, 131), (96, 130, 1, 1), (10, 0, 20, 131)]):
        for name in FILTERS:
            for size in [[24, 36], [64, 64], [height, width]]:
                out = F.resized_crop(noise(131, 97, seed), top, left, height, width, size, InterpolationMode(name))
                cases.append({"source": [131, 97], "seed": seed, "box": [left, top, left + width, top + height],
                              "target": size[::-1], "filter": name, "crc": crc(out)})
    return cases


def colour_cases():
    from torchvision.transforms import functional as F

    cases = []
    for seed, (w, h) in enumerate([(61, 47), (224, 224)]):
        image = noise(w, h, seed)
        for factor in [0.0, 0.3, 0.6, 1.0, 1.4, 2.5]:
            for name, enhancer in [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast),
                                   ("saturation", ImageEnhance.Color)]:
                cases.append({"source": [w, h], "seed": seed, "change": name, "factor": factor,
                              "crc": crc(enhancer(image).enhance(factor))})
        for factor in [-0.5, -0.31, -0.05, 0.0, 0.02, 0.1, 0.5]:
            cases.append({"source": [w, h], "seed": seed, "change": "hue", "factor": factor,
                          "crc": crc(F.adjust_hue(image, factor))})
    return cases


def trivial_cases():
    """What TrivialAugment does, on noise at half its brightness, through torchvision's functions on Pillow images."""
    import math

    from torchvision.transforms import functional as F

    fill = [124, 116, 104]
    geometry = {"angle": 0.0, "scale": 1.0, "fill": fill, "center": [0, 0]}
    changes = {
        "shear_x": lambda image, v: F.affine(image, translate=[0, 0], shear=[math.degrees(math.atan(v)), 0.0], **geometry),
        "shear_y": lambda image, v: F.affine(image, translate=[0, 0], shear=[0.0, math.degrees(math.atan(v))], **geometry),
        "shift_x": lambda image, v: F.affine(image, translate=[int(v), 0], shear=[0.0, 0.0], **geometry),
        "shift_y": lambda image, v: F.affine(image, translate=[0, int(v)], shear=[0.0, 0.0], **geometry),
        "turn": lambda image, v: F.rotate(image, v, fill=fill),
        "sharpness": F.adjust_sharpness,
        "posterize": lambda image, v: F.posterize(image, int(v)),
        "solarize": F.solarize,
        "autocontrast": lambda image, _: F.autocontrast(image),
        "equalize": lambda image, _: F.equalize(image),
    }
    values = {
        "shear_x": [0.33, -0.99], "shear_y": [0.33, -0.99], "shift_x": [7, -32], "shift_y": [7, -32],
        "turn": [4.5, -40.5, 90.0, -135.0], "sharpness": [0.01, 0.6, 1.99], "posterize": [2, 5, 8],
        "solarize": [255.0, 93.5, 0.0], "autocontrast": [0], "equalize": [0],
    }
    cases = []
    for seed, (w, h) in enumerate([(61, 61), (224, 224), (37, 20)]):
        image = ImageEnhance.Brightness(noise(w, h, seed)).enhance(0.5)
        for name, change in changes.items():
            for value in values[name]:
                if w != h and name == "turn" and abs(value) == 90.0:
                    continue
                cases.append({"source": [w, h], "seed": seed, "change": name, "value": value, "crc": crc(change(image, value))})
    return cases


def hsv_cases():
    import cv2

    cases = []
    # OpenCV cuts what is left over from its vectors, 32 pixels of a row, otherwise: it rounds. So the width is a multiple.
    for seed, gains in enumerate([[1.0, 1.0, 1.0], [1.013, 0.42, 1.31], [0.987, 1.66, 0.63]]):
        image = noise(64, 40, seed)
        steps = np.arange(256, dtype=np.float64)
        tables = [(steps * gains[0]) % 180, np.clip(steps * gains[1], 0, 255), np.clip(steps * gains[2], 0, 255)]
        planes = cv2.split(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2HSV))
        changed = cv2.merge([cv2.LUT(plane, table.astype(np.uint8)) for plane, table in zip(planes, tables)])
        out = cv2.cvtColor(changed, cv2.COLOR_HSV2RGB)
        cases.append({"source": [64, 40], "seed": seed, "gains": gains, "values": out.flatten().tolist()})
    return cases


def upright_rgb(data):
    """Pillow's picture, upright; the high byte of 16-bit grey, whose conversion differs between Pillow versions."""
    image = Image.open(io.BytesIO(data))
    if image.format == "GIF":
        raise ValueError("not a supported format")
    if image.mode.startswith("I;16") or image.mode == "I":
        array = np.asarray(image).astype(np.uint32) >> 8
        exif = image.getexif()
        image = Image.fromarray(array.clip(0, 255).astype(np.uint8))
        image.getexif().update(exif)
    return ImageOps.exif_transpose(image).convert("RGB")


def summary(image):
    array = np.asarray(image)
    h, w = array.shape[:2]
    points = sorted({(int(w * u), int(h * v)) for u in (0.02, 0.31, 0.77) for v in (0.05, 0.45, 0.96)})
    return {"width": w, "height": h, "mean": [round(float(m), 3) for m in array.reshape(-1, 3).mean(0)],
            "pixels": [[x, y, *map(int, array[y, x])] for x, y in points]}


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png16(rgb):
    """A PNG of 16 bits per channel, which Pillow cannot write; the low bytes are there to be dropped."""
    h, w, _ = rgb.shape
    wide = (rgb.astype(">u2") << 8 | 0xAB).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wide)
    header = struct.pack(">IIBBBBB", w, h, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")


def files():
    """Name -> bytes of every small file."""
    picture = scene(67, 45)
    alpha = picture.copy()
    alpha.putalpha(Image.fromarray(np.tile(np.arange(67, dtype=np.uint8) * 3, (45, 1))))
    grey = picture.convert("L")
    result = {}

    def save(name, image, format, **options):
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        result[name] = buffer.getvalue()

    for sampling in ["4:4:4", "4:2:2", "4:2:0"]:
        save(f"baseline_{sampling.replace(':', '')}.jpg", picture, "JPEG", quality=92, subsampling=sampling)
    save("progressive.jpg", picture, "JPEG", quality=92, progressive=True)
    save("restarts.jpg", picture, "JPEG", quality=92, restart_marker_blocks=2)
    save("grey.jpg", grey, "JPEG", quality=92)
    save("rgb.jpg", picture, "JPEG", quality=92, keep_rgb=True)
    cmyk = Image.merge("CMYK", (*[ImageOps.invert(c) for c in picture.split()], grey.point(lambda v: v // 4)))
    save("cmyk.jpg", cmyk, "JPEG", quality=95)
    # The same scan read as YCCK: the transform byte at the end of the Adobe segment says so.
    adobe = result["cmyk.jpg"].index(b"Adobe")
    result["ycck.jpg"] = result["cmyk.jpg"][: adobe + 11] + b"\x02" + result["cmyk.jpg"][adobe + 12 :]

    def exif(value):
        data = Image.Exif()
        data[0x0112] = value
        return data

    for value in range(1, 9):
        save(f"orientation_{value}.jpg", picture, "JPEG", quality=92, subsampling="4:4:4", exif=exif(value))
    save("orientation_6.png", picture, "PNG", exif=exif(6))
    save("orientation_8.webp", picture, "WEBP", lossless=True, exif=exif(8))
    save("orientation_6.tiff", picture, "TIFF", tiffinfo={0x0112: 6})
    save("rgb.png", picture, "PNG")
    save("rgba.png", alpha, "PNG")
    save("grey.png", grey, "PNG")
    save("grey_alpha.png", alpha.convert("LA"), "PNG")
    save("palette.png", picture.quantize(32), "PNG")
    save("palette_transparent.png", picture.quantize(32), "PNG", transparency=3)
    save("bits.png", grey.point(lambda v: 255 * (v > 128)).convert("1", dither=Image.Dither.NONE), "PNG")
    save("grey16.png", Image.fromarray(np.asarray(grey).astype(np.uint16) * 256 + 99), "PNG")
    result["rgb16.png"] = png16(np.asarray(picture))
    save("animated.png", picture, "PNG", save_all=True, append_images=[ImageOps.invert(picture)])
    save("lossless.webp", picture, "WEBP", lossless=True)
    save("lossy.webp", picture, "WEBP", quality=90)
    save("alpha.webp", alpha, "WEBP", lossless=True, exact=True)
    save("animated.webp", picture, "WEBP", save_all=True, append_images=[ImageOps.invert(picture)], lossless=True)
    save("rgb.bmp", picture, "BMP")
    save("palette.bmp", picture.quantize(32), "BMP")
    save("bits.bmp", grey.point(lambda v: 255 * (v > 128)).convert("1", dither=Image.Dither.NONE), "BMP")
    save("rgb.tiff", picture, "TIFF")
    save("lzw.tiff", picture, "TIFF", compression="tiff_lzw")
    save("deflate.tiff", picture, "TIFF", compression="tiff_adobe_deflate")
    save("grey.tiff", grey, "TIFF")
    save("bits.tiff", grey.point(lambda v: 255 * (v > 128)).convert("1", dither=Image.Dither.NONE), "TIFF")
    save("grey16.tiff", Image.fromarray(np.asarray(grey).astype(np.uint16) * 256 + 99), "TIFF")
    save("animated.gif", picture, "GIF")
    return result


def odd_images(folder):
    table = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        entry = {"file": path.relative_to(folder).as_posix()}
        try:
            data = path.read_bytes()
            entry["format"] = Image.open(io.BytesIO(data)).format
            entry |= summary(upright_rgb(data))
        except Exception:  # whatever Pillow has against a file, it holds no image
            pass
        if entry.get("format") in {"JPEG", "PNG", "WEBP", "BMP", "TIFF", "MPO"}:
            table.append(entry)
    return table


def write(name, entries):
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    (OUT / name).write_text(f"[\n{lines}\n]\n")


def main():
    warnings.simplefilter("ignore")
    OUT.mkdir(parents=True, exist_ok=True)
    write("resize.json", resize_cases())
    write("prepare.json", prepare_cases())
    write("crop.json", crop_cases())
    write("colour.json", colour_cases())
    write("hsv.json", hsv_cases())
    write("trivial.json", trivial_cases())
    entries = []
    for name, data in files().items():
        (OUT / name).write_bytes(data)
        if not name.endswith(".gif"):
            entries.append({"file": name, **summary(upright_rgb(data))})
    write("decode.json", entries)
    if len(sys.argv) > 1:
        write("odd_images.json", odd_images(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
