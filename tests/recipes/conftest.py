"""Made archives that the recipes read as the real ones."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from allspark.evaluate.sources import SOURCES

COLOURS = {"Desert": (230, 210, 130), "Pond": (20, 40, 120)}


@pytest.fixture
def aid(tmp_path):
    """AID's archive with two of its training classes, told apart by colour."""
    generator = np.random.default_rng(0)
    path = tmp_path / "data" / SOURCES["aid"].files[0]
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for label, colour in COLOURS.items():
            for number in range(120):
                pixels = np.clip(np.array(colour) + generator.normal(0, 8, (32, 32, 3)), 0, 255).astype(np.uint8)
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "webp")
                archive.writestr(f"{label}/{number}.webp", buffer.getvalue())
    return tmp_path / "data"
