"""The table of ``docs/finetune.md``, from the JSON files that the recipes wrote.

python recipes/finetune/table.py
"""

from __future__ import annotations

import json
from pathlib import Path

from allspark import atomic

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "finetune.md"
BEGIN, END = "<!-- figures: written by recipes/finetune/table.py -->", "<!-- end of figures -->"
ORDER = (
    "mstar", "eth_ucy", "modelnet10", "statlog", "houston", "ign", "geolife", "cora", "covertype", "newsgroups",
    "idtrees",
)  # fmt: skip


def line(found: dict) -> str:
    """One row of the table."""
    scale = 100 if found["percent"] else 1

    def shown(value: float) -> str:
        return f"{scale * value:.1f}" if found["percent"] else f"{value:.3f}"

    seeds = len(found["values"])
    mean = shown(found["mean"]) + ("" if found["std"] is None else f" ± {shown(found['std'])}")
    cells = [
        found["title"],
        found["metric"].replace("_", "-"),
        f"{mean} ({seeds} seed{'s' if seeds > 1 else ''})",
        f"{shown(found['reference']['value'])} ({found['reference']['name']})",
        found["paper"],
        found["reach"] + (" ✓" if found["reached"] else " – missed"),
        f"{found['cpu_minutes'] / seeds:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def table(folder: Path) -> str:
    """All rows whose recipes were run, in the order of the task."""
    head = [
        "| data, split | metric | fine-tuned | best classical reference | paper / best it compares with | to reach "
        "| CPU minutes per seed |",
        "|---|---|---|---|---|---|---:|",
    ]
    files = [folder / f"{name}.json" for name in ORDER]
    return "\n".join(head + [line(json.loads(f.read_text(encoding="utf-8"))) for f in files if f.is_file()])


def main() -> None:
    """Write the table between its marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    atomic.write(PAGE, f"{before}{BEGIN}\n{table(HERE / 'results')}\n{END}{after}")


if __name__ == "__main__":
    main()
