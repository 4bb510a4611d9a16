"""Results as Markdown tables, put between marks of a page; and the page's pictures.

    python recipes/unistd-base/tables.py [--page docs/unistd.md] [--pictures docs/figures --packed runs/unistd/packed]

A page holds ``<!-- table: errors -->`` and ``<!-- end -->`` where a table belongs; names are those of ``TABLES``.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from results import RESULTS, read
from ten_tasks import TASKS

from allspark import atomic

CHEAP = ("persistence", "seasonal persistence", "climatology", "linear regression", "optical flow")
OURS = "linear path alone"
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
BLANK = "–"


def table(head: list[str], rows: list[list[str]], left: int = 1) -> str:
    """A Markdown table; the first ``left`` columns are words, the rest numbers."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows)) + "\n"


def seeds(found: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The cells of one key over all seeds."""
    return [value for name, value in found.items() if name.rpartition(" / ")[0] == key]


def spread(values: list[float], digits: int = 3) -> str:
    """Mean, with the sample's standard deviation where there are several."""
    if not values:
        return BLANK
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def metrics() -> dict[str, dict[str, dict[str, Any]]]:
    """Method -> task -> metrics; of the per-task baseline the first seed."""
    cheap, conv, joint = (read(RESULTS / f"{name}.json") for name in ("baselines", "per_task", "joint"))
    found = {words: {name: cheap[f"{name} / {words}"] for name in TASKS if f"{name} / {words}" in cheap}
             for words in CHEAP}  # fmt: skip
    found["conv per task"] = {name: conv[f"{name} / 0"] for name in TASKS if f"{name} / 0" in conv}
    found[OURS] = {name: cheap[f"{name} / {OURS}"] for name in TASKS if f"{name} / {OURS}" in cheap}
    found["unistd-base"] = {name: joint[name] for name in TASKS if name in joint}
    return found


def _best(values: dict[str, float], digits: int) -> dict[str, str]:
    """Numbers as words, the least in bold."""
    least = min(values.values())
    return {key: f"**{v:.{digits}f}**" if v == least else f"{v:.{digits}f}" for key, v in values.items()}


def errors() -> str:
    """RMSE of every method on every task, and the mean nrmse of those that do all ten."""
    found = metrics()
    rows = []
    for name, task in TASKS.items():
        values = {method: cells[name]["rmse"] for method, cells in found.items() if name in cells}
        digits = 1 if min(values.values()) > 10 else 2 if min(values.values()) > 1 else 3
        shown = _best(values, digits)
        windows = f"{task.frames_in} → {task.frames_out}"
        rows.append([name, windows, task.units, *(shown.get(method, BLANK) for method in found)])
    means = {
        method: sum(cells[name]["nrmse"] for name in TASKS) / len(TASKS)
        for method, cells in found.items()
        if all(name in cells for name in TASKS)
    }
    shown = _best(means, 3)
    rows.append(["**mean nrmse**", "", "", *(shown.get(method, BLANK) for method in found)])
    return table(["task", "frames", "RMSE in", *found], rows, 3)


def other() -> str:
    """The joint model by the other metrics."""
    joint = read(RESULTS / "joint.json")
    rows = []
    for name, task in TASKS.items():
        cell = joint[name]
        ssim = f"{cell['ssim']:.3f}" if cell.get("ssim") is not None else BLANK
        rows.append([name, task.units, str(cell["windows"]), f"{cell['mae']:.3g}", f"{cell['rmse']:.3g}",
                     f"{cell['nrmse']:.3f}", f"{cell['skill']:.2f}", f"{cell['psnr']:.1f}", ssim, f"{task.peak:g}",
                     f"{cell['mae_sum']:.4g}", f"{cell['mse_sum']:.4g}"])  # fmt: skip
    head = [
        "task",
        "units",
        "windows",
        "MAE",
        "RMSE",
        "nrmse",
        "skill",
        "PSNR, dB",
        "SSIM",
        "R",
        "MAE, sum",
        "MSE, sum",
    ]
    return table(head, rows, 2)


def rain() -> str:
    """CSI, POD and FAR of the radar tasks."""
    found, rows = metrics(), []
    for name, task in TASKS.items():
        for threshold in task.thresholds:
            row = [name, f"{threshold:g}"]
            for method in ("persistence", "optical flow", "conv per task", "unistd-base"):
                cell = found[method].get(name)
                values = [cell[f"{kind}_{threshold:g}"] for kind in ("csi", "pod", "far")] if cell else [None]
                row.append(" / ".join(BLANK if v is None else f"{v:.2f}" for v in values))
            rows.append(row)
    head = [
        "task",
        "at mm/h",
        *(f"{m}: CSI / POD / FAR" for m in ("persistence", "optical flow", "conv", "unistd-base")),
    ]
    return table(head, rows, 2)


def cost() -> str:
    """Seconds of training on both sides, and when the joint model was as good as the per-task models at their end."""
    joint, conv = read(RESULTS / "joint.json")["training"], read(RESULTS / "per_task.json")
    cells = [conv[f"{name} / 0"] for name in TASKS if f"{name} / 0" in conv]
    per_task = statistics.mean(cell["validation_nrmse"] for cell in cells)
    total = sum(cell["training_seconds"] for cell in cells)
    passed = (look for look in joint["looks"] if statistics.mean(look["validation"].values()) <= per_task)
    there = next(passed, None)
    rows = [[f"{len(cells)} conv models, one per task", f"{total:.0f}", f"{per_task:.3f}",
             f"{sum(cell['parameters'] for cell in cells) / 1e6:.1f} M"]]  # fmt: skip
    size = f"{joint['parameters'] / 1e6:.1f} M, {joint['learning'] / 1e6:.1f} M of them learn"
    if there is not None:
        mean = statistics.mean(there["validation"].values())
        rows.append(
            ["the joint model, at its first look that is as good", f"{there['processor']:.0f}", f"{mean:.3f}", size]
        )
    best = min(joint["looks"], key=lambda look: statistics.mean(look["validation"].values()))
    mean = statistics.mean(best["validation"].values())
    rows.append(["the joint model, at the end", f"{joint['processor']:.0f}", f"{mean:.3f}", size])
    return table(["", "processor seconds", "mean nrmse, validation", "weights"], rows)


def _claims() -> dict[str, Any]:
    return read(RESULTS / "claims.json")


def _means(key: str, names: list[str] | None = None) -> list[float]:
    cells = seeds(_claims(), key)
    if names is None:
        return [cell["mean"] for cell in cells]
    return [statistics.mean(cell["tasks"][name] for name in names) for cell in cells]


def claim_a() -> str:
    """Joint models against models of one task."""
    from claims import FIVE, TEN, THREE

    rows = []
    for names, words in ((THREE, "joint 3"), (FIVE, "joint 5"), (TEN, "joint 10")):
        alone = [_means(f"a / alone {name}") for name in names]
        if not all(alone) or not _means(f"a / {words}"):
            continue
        means = [statistics.mean(parts) for parts in zip(*alone, strict=False)]
        rows.append([str(len(names)), spread(means), spread(_means(f"a / {words}"))])
    return table(["tasks", "one model each", "one joint model"], rows)


def _variants(pairs: list[tuple[str, str]]) -> str:
    rows = []
    for words, key in pairs:
        cells = seeds(_claims(), key)
        if cells:
            learning = f"{cells[0]['learning'] / 1e6:.2f} M"
            steps = f"{statistics.mean(cell['steps'] for cell in cells):.0f}"
            rows.append([words, spread([cell["mean"] for cell in cells]), steps, learning])
    return table(["", "mean nrmse", "steps", "weights that learn"], rows)


def claim_b() -> str:
    """Where the trunk comes from."""
    return _variants([
        ("pretrained, frozen", "a / joint 3"), ("random, frozen", "b / random, frozen"),
        ("pretrained, trained in full", "b / pretrained, trained in full"),
    ])  # fmt: skip


def claim_c() -> str:
    """What hangs on it."""
    return _variants([
        ("RA-MoE, learned ranks", "a / joint 3"), ("mixture, fixed ranks", "c / mixture of fixed ranks"),
        ("LoRA, one fixed rank", "c / LoRA of one rank"),
    ])  # fmt: skip


def claim_d() -> str:
    """The temporal module."""
    return _variants([("with temporal module", "a / joint 3"), ("without", "d / no temporal module")])


def claim_e() -> str:
    """Unseen tasks from few frames, beside what is cheap."""
    from claims import UNSEEN

    cheap, rows = read(RESULTS / "baselines.json"), []
    for name in UNSEEN:
        cells = seeds(_claims(), f"e / {name} from the joint model")
        alone = seeds(_claims(), f"e / {name} from the trunk alone")
        plain = [
            f"{cheap[f'{name} / {words}']['nrmse']:.3f}"
            for words in ("persistence", "climatology", "linear regression")
        ]
        if cells:
            rows.append([name, str(cells[0]["windows"]), *plain, spread([c["mean"] for c in alone]),
                         spread([c["mean"] for c in cells])])  # fmt: skip
    head = ["task", "windows", "persistence", "climatology", "linear", "from the trunk alone", "from the joint model"]
    return table(head, rows)


TABLES: dict[str, Callable[[], str]] = {
    "errors": errors, "other": other, "rain": rain, "cost": cost, "claim_a": claim_a, "claim_b": claim_b,
    "claim_c": claim_c, "claim_d": claim_d, "claim_e": claim_e,
}  # fmt: skip


def filled(page: str) -> str:
    """A page with every marked table made anew."""
    return MARK.sub(lambda mark: mark[1] + TABLES[mark[2]]() + mark[3], page)


def pictures(folder: Path, packed: Path, run: Path) -> Iterator[Path]:
    """Error by lead time, learned ranks, and truth, forecast and error of one test window of each discipline."""
    import numpy as np

    from allspark.spatiotemporal.batches import in_order
    from allspark.spatiotemporal.forecaster import Forecaster
    from allspark.spatiotemporal.pictures import draw_comparison, draw_lead_times, draw_ranks
    from allspark.spatiotemporal.score import model_forecast
    from allspark.spatiotemporal.series import unpack

    folder.mkdir(parents=True, exist_ok=True)
    yield draw_ranks(read(RESULTS / "joint.json")["training"]["ranks"], folder / "unistd_ranks.png")
    found = metrics()
    model = Forecaster.load(run / "model").model
    for name in ("bikenyc", "era5_uk", "rain_mch", "moving_mnist"):
        curves = {method: cells[name]["rmse_by_lead"] for method, cells in found.items() if name in cells}
        yield draw_lead_times(curves, folder / f"unistd_lead_{name}.png", units=TASKS[name].units, title=name)
        series = unpack(packed / f"{name}.safetensors")
        batch = next(in_order(series, "test", 1, most=1))
        ahead = model_forecast(model, series)(batch)[0, :, 0]
        truth = np.where(batch.targets_known[0, :, 0], batch.targets[0, :, 0], np.nan)
        path = folder / f"unistd_{name}.png"
        yield draw_comparison(truth, ahead.numpy(), path, units=TASKS[name].units, title=f"{name}, first test window")


def main() -> None:
    """Fill the page, draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", default=Path("docs/unistd.md"), type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--packed", default=Path("runs/unistd/packed"), type=Path)
    parser.add_argument("--run", default=Path("runs/unistd/joint"), type=Path)
    options = parser.parse_args()
    atomic.write(options.page, filled(options.page.read_text(encoding="utf-8")))
    print(f"wrote {options.page}", flush=True)
    if options.pictures:
        for path in pictures(options.pictures, options.packed, options.run):
            print(f"wrote {path}", flush=True)


if __name__ == "__main__":
    main()
