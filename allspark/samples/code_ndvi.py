"""Write the normalised difference vegetation index of a multispectral image.

Usage: python code_ndvi.py scene.tif ndvi.tif --red 3 --nir 4
"""

import argparse

import numpy as np
import rasterio


def ndvi(red: np.ndarray, nir: np.ndarray) -> np.ndarray:
    """(nir - red) / (nir + red), from -1 to 1; NaN where both bands are zero."""
    red, nir = red.astype("float32"), nir.astype("float32")
    total = nir + red
    index = np.full(total.shape, np.nan, dtype="float32")
    np.divide(nir - red, total, out=index, where=total != 0)
    return index


def main() -> None:
    parser = argparse.ArgumentParser(description="NDVI of a raster, block by block")
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--red", type=int, default=3, help="number of the red band, from 1")
    parser.add_argument("--nir", type=int, default=4, help="number of the near-infrared band, from 1")
    arguments = parser.parse_args()

    with rasterio.open(arguments.source) as source:
        profile = source.profile | {"driver": "GTiff", "count": 1, "dtype": "float32", "nodata": np.nan}
        with rasterio.open(arguments.target, "w", **profile) as target:
            for _, window in source.block_windows(1):
                red, nir = source.read([arguments.red, arguments.nir], window=window)
                target.write(ndvi(red, nir), 1, window=window)


if __name__ == "__main__":
    main()
