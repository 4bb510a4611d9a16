"""Files -> tensors, once: every series with its record and statistics as one safetensors file.

    python recipes/unistd-base/pack_tasks.py --data DIR [--out runs/unistd/packed]

Training and measuring read the packed files alone.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ten_sources import FOLDER, SOURCES

from allspark.spatiotemporal.normalise import with_statistics
from allspark.spatiotemporal.series import pack


def main() -> None:
    """Pack what is not packed yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default="runs/unistd/packed", type=Path)
    parser.add_argument("--again", action="store_true", help="pack what is packed already, too")
    options = parser.parse_args()
    for name, read in SOURCES.items():
        path = options.out / f"{name}.safetensors"
        if path.exists() and not options.again:
            continue
        start = time.perf_counter()
        series = with_statistics(read(options.data / FOLDER))
        pack(series, path)
        counts = {part: len(series.starts(part)) for part in ("train", "validation", "test")}
        print(f"packed {name}: windows {counts}, {path.stat().st_size / 2**20:.1f} MiB, "
              f"{time.perf_counter() - start:.1f} s", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
