"""Freezes how YOLOv5's rotation and shear move points and pixels, for trainer/dataset.

Run from the project's root, with NumPy and opencv-python installed (see scripts/oracle/environment):

    python scripts/oracle/turn_fixtures.py

Writes trainer/dataset/tests/fixtures/turn.json, one case a line: the angle and the two shears in degrees, the point that stays where it
is, the side of the view, where some points come to lie, and the pixels of the test image of a seed as `warpAffine` moves them.
"""

import json
from pathlib import Path

import cv2
import numpy as np

from host_fixtures import noise

OUT = Path("trainer/dataset/tests/fixtures/turn.json")
SIDE, SOURCE, FILL = 16, (24, 18), (114, 114, 114)
POINTS = [[0, 0], [SIDE, 0], [3.25, 11.5], [-40.0, 7.0], [8.0, 8.0]]


def case(seed, angle, shear, about):
    move = lambda x, y: np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)
    rotation, sheared = np.eye(3), np.eye(3)
    rotation[:2] = cv2.getRotationMatrix2D(center=(0, 0), angle=angle, scale=1.0)
    sheared[0, 1], sheared[1, 0] = np.tan(np.radians(shear))
    matrix = move(*about) @ sheared @ rotation @ move(-about[0], -about[1])
    points = np.array([[*point, 1.0] for point in POINTS]) @ matrix.T
    # OpenCV counts from the middle of the first pixel.
    centred = move(-0.5, -0.5) @ matrix @ move(0.5, 0.5)
    image = np.asarray(noise(*SOURCE, seed))
    # Noise is blurred, since OpenCV looks at 32nds of a pixel only.
    image = cv2.blur(image, (5, 5))
    turned = cv2.warpAffine(image, centred[:2], (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderValue=FILL)
    return {"angle": angle, "shear": shear, "about": about, "side": SIDE, "points": POINTS, "source": list(SOURCE), "fill": list(FILL),
            "moved": points[:, :2].tolist(), "pixels": image.flatten().tolist(), "turned": turned.flatten().tolist()}


def main():
    cases = [
        case(0, 0.0, [0.0, 0.0], [8.0, 8.0]),
        case(1, 90.0, [0.0, 0.0], [8.0, 8.0]),
        case(2, 10.0, [0.0, 0.0], [5.5, 9.0]),
        case(3, 0.0, [20.0, 0.0], [8.0, 8.0]),
        case(4, 0.0, [0.0, -30.0], [8.0, 8.0]),
        case(5, -135.0, [10.0, -5.0], [7.25, 6.5]),
        case(6, 30.0, [44.0, 40.0], [8.0, 8.0]),
    ]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("[\n" + ",\n".join(json.dumps(one, separators=(",", ":")) for one in cases) + "\n]\n")


if __name__ == "__main__":
    main()
