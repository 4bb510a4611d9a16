"""Speed and memory against their bounds, on the machine at hand: `make bench-quick`.

Every figure is printed with its bound and "pass" or "MISS"; the exit code is 1 where one is missed. Times are medians.
What depends on a fresh process (imports, loading, peak memory) is measured in one, alternating with what it is compared
to, so that a busy moment of the machine falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

CHILD = """
import json, resource, sys, time
start = time.perf_counter()
{code}
seconds = time.perf_counter() - start
unit = 1 if sys.platform == "darwin" else 1024
print(json.dumps({{"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20}}))
"""
BARE = "from transformers.models.llama.modeling_llama import LlamaForCausalLM"
LABELS = ["lake", "airport", "forest", "harbour"]


@dataclass(frozen=True)
class Figure:
    """One measurement and what it must reach."""

    name: str
    value: float
    unit: str
    bound: float
    at_most: bool = True
    how: str = ""

    @property
    def passed(self) -> bool:
        return self.value <= self.bound if self.at_most else self.value >= self.bound


def machine() -> dict[str, str | int]:
    """What this was measured on."""
    import torch

    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "cpu": name,
        "cores": cores,
        "threads": torch.get_num_threads(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
    }


def fresh(code: str, **environment: str) -> dict[str, float]:
    """Seconds and peak resident MiB of ``code`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(code=code)], capture_output=True, text=True, env=os.environ | environment
    )
    if done.returncode != 0:
        raise RuntimeError(f"a measured process failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def median_ms(run: Callable[[], object], times: int) -> float:
    run()  # the first call also allocates and chooses kernels
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds)


def imports_and_loading(model: str, rounds: int) -> Iterator[Figure]:
    # numpy's pages come from the disk once: the first process warms the file cache for all
    fresh("import allspark")
    light = [fresh("import allspark")["seconds"] for _ in range(max(3, rounds))]
    yield Figure("import allspark", statistics.median(light), "s", 0.3, how=f"median of {len(light)} fresh processes")
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(fresh(BARE))
        ours.append(fresh(f"import allspark; allspark.load({model!r})"))
    middle = lambda runs, key: statistics.median(run[key] for run in runs)  # noqa: E731
    seconds, base = middle(ours, "seconds"), middle(bare, "seconds")
    how = f"{seconds:.2f} s against {base:.2f} s, medians of {rounds} fresh processes each"
    yield Figure("load / bare import of Llama", seconds / base, "×", 1.25, how=how)
    peak, base = middle(ours, "peak"), middle(bare, "peak")
    yield Figure(
        "load, memory above bare import", peak - base, "MiB", 250, how=f"{peak:.0f} against {base:.0f} MiB peak"
    )


def images(spark) -> Iterator[Figure]:
    import allspark

    path = allspark.sample("rgb_lake")
    one = median_ms(lambda: spark.classify(path, LABELS), 20)
    yield Figure("one RGB image, disk to answer", one, "ms", 100, how="rgb_lake.tif, 4 labels, median of 20")
    many = [allspark.read(path)] * 256
    few = many[:32]

    def one_by_one() -> None:
        for item in few:
            spark.classify(item, LABELS)

    alone = median_ms(one_by_one, 3) / len(few)
    batched = median_ms(lambda: spark.classify(many, LABELS), 3) / len(many)
    how = f"{1000 / batched:.0f} against {1000 / alone:.0f} images/s, read before"
    yield Figure("256 images batched / one by one", alone / batched, "×", 3, at_most=False, how=how)


def a_million_points(model: str, folder: Path) -> Iterator[Figure]:
    import laspy

    generator = np.random.default_rng(0)
    header = laspy.LasHeader(version="1.4", point_format=6)
    header.scales = np.full(3, 0.01)
    las = laspy.LasData(header)
    las.x, las.y = generator.uniform(0, 300, (2, 1_000_000))
    las.z = 5 * np.sin(las.x / 20) + generator.gamma(1, 2, 1_000_000)
    las.intensity = generator.integers(0, 2000, 1_000_000)
    path = folder / "million.laz"
    las.write(str(path))
    # `start` is the child's own: set again once the model is loaded
    code = f"""
import allspark
spark = allspark.load({model!r})
start = time.perf_counter()
vector = spark.embed(allspark.read({str(path)!r}), modality="point_cloud")
assert vector.isfinite().all()
"""
    found = fresh(code)
    yield Figure(
        "1,000,000-point LAZ embedded", found["seconds"], "s", 5, how="file to vector, in a fresh process after load"
    )
    yield Figure(
        "its peak memory, all told", found["peak"], "MiB", 2048, how="resident, with the interpreter and the model"
    )


SCORED = """
import torch
from allspark.spatiotemporal.forecaster import Forecaster
from allspark.spatiotemporal.normalise import with_statistics
from allspark.spatiotemporal.score import model_forecast, score
from allspark.spatiotemporal.series import Series
model = Forecaster.load("unistd-base").model
task = model.config.tasks["moving_mnist"]
task = task.from_json({{**task.to_json(), "split": {{"train": [[0, 0, 40]], "validation": [], "test": [[0, 0, 619]]}}}})
series = Series(task, [torch.randint(0, 255, (620, 1, 64, 64), dtype=torch.uint8)])
score(model_forecast(model, series), series, "test", {windows}, pictures=False)
"""


def forecasting() -> Iterator[Figure]:
    """The forecaster that ships: time of a large field, size, and memory over the number of test windows."""
    import allspark
    from allspark.presets import find

    forecaster = allspark.load("unistd-base")
    field = 280 + np.random.default_rng(0).normal(size=(12, 128, 128)).astype(np.float32)
    seconds = median_ms(lambda: forecaster.forecast(field, 12, task="era5_uk"), 10) / 1000
    yield Figure("12 frames of 128 x 128 ahead", seconds, "s", 0.5, how="array in, Dataset out, median of 10")
    size = sum(file.stat().st_size for file in find("unistd-base").glob("*.safetensors")) / 2**20
    yield Figure("weights of unistd-base", size, "MiB", 32, how="on disk")
    few, many = (fresh(SCORED.format(windows=count))["peak"] for count in (32, 320))
    yield Figure("320 against 32 windows scored", many - few, "MiB", 64, how=f"{many:.0f} against {few:.0f} MiB peak")


def few_shot() -> Iterator[Figure]:
    """Learning from 20 classes of 50 examples, every method tried and each example held back once."""
    import torch

    from allspark.fewshot import FewShot

    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(20, 1, 384, generator=generator)
    features = (centres + 2 * torch.randn(20, 50, 384, generator=generator)).flatten(0, 1)
    labels = [f"class {i // 50}" for i in range(1000)]
    seconds = median_ms(lambda: FewShot.fit(features, labels), 3) / 1000
    yield Figure("few-shot fit, 20 classes of 50", seconds, "s", 1.0, how="vectors of 384, method auto, median of 3")


def batching(spark) -> Iterator[Figure]:
    """The largest difference that other items in the batch, and their padding, make to an item's answer."""
    from allspark.testing import made

    worst, where = 0.0, ""
    for name in spark.modalities:
        items = [{name: item} for item in made(name, 6, seed=3)[0]]
        for at in ("bridge", "language"):
            together = spark.embed(items, at=at)
            for row, item in enumerate(items):
                moved = float((spark.embed([item], at=at)[0] - together[row]).abs().max())
                if not moved <= worst:
                    worst, where = moved, f"{name} at the {at}"
        scores = spark.classify(items, LABELS)
        for item, row in zip(items, scores):
            alone = spark.classify([item], LABELS)[0].scores
            moved = max(abs(alone[label] - row.scores[label]) for label in LABELS)
            if not moved <= worst:
                worst, where = moved, f"{name}, zero-shot scores"
    how = f"{len(spark.modalities)} modalities, vectors and scores; worst: {where or 'none'}"
    yield Figure("padding and batching, difference", worst, "", 1e-4, how=how)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="allspark-base", help="a shipped model or a folder")
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes per measurement of loading")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args()
    about = machine()
    figures: list[Figure] = []

    def show(figure: Figure) -> None:
        figures.append(figure)
        if not given.json:
            sign = "≤" if figure.at_most else "≥"
            verdict = "pass" if figure.passed else "MISS"
            value, bound = f"{figure.value:.3g} {figure.unit}", f"{sign} {figure.bound:g} {figure.unit}"
            print(f"{figure.name:34} {value:>12}  {bound:>10}  {verdict}  {figure.how}", flush=True)

    if not given.json:
        print(*(f"{key}: {value}" for key, value in about.items()), sep="\n")
        print(f"model: {given.model}\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for figure in imports_and_loading(given.model, given.rounds):
            show(figure)
        for figure in a_million_points(given.model, folder):
            show(figure)
        import allspark

        spark = allspark.load(given.model)
        for figure in (*images(spark), *batching(spark), *few_shot(), *forecasting()):
            show(figure)
    if given.json:
        rows = [asdict(figure) | {"passed": figure.passed} for figure in figures]
        print(json.dumps({"machine": about, "model": given.model, "figures": rows}, indent=2))
    return int(not all(figure.passed for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
