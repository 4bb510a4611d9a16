"""The league table: one line per set and protocol; printed, and written as JSON, Markdown and PNG.

A table carries its protocol, seed and machine and no date, so that the same run writes the same file.
"""

from __future__ import annotations

import io
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import atomic

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

LEVELS = ("encoder", "bridge", "language")
TOGETHER = "together"  # encoder and language side by side
NAMED = "with names"  # the same, and the class names' text vectors mixed in
AT_ONCE = "encoder, at once"  # the encoder's vectors, all questions of an episode answered together
CHEAP_AT_ONCE = "cheap, at once"  # the cheap baseline that is best so, on the same episodes
CELLS = (*LEVELS, TOGETHER, NAMED, AT_ONCE, CHEAP_AT_ONCE)
COLUMNS = ("set", "modality", "protocol", "best cheap baseline", *CELLS, "zero-shot", "chance")
PROBE = "linear probe"
ABSENT = "–"


@dataclass(frozen=True)
class Cell:
    """One figure: mean and half-width of its 95 % interval, as shares of 1; ``note`` says what is particular."""

    mean: float
    interval: float = 0.0
    note: str = ""

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ± {100 * self.interval:.1f}"


@dataclass(frozen=True)
class Line:
    """One protocol on one set.

    Attributes:
        ways: classes per episode.
        shots: support items per class.
        episodes: how many.
        cells: one of `CELLS` -> figure.
        baselines: "baseline, classifier" -> figure.
        task: "few-shot", or "linear probe", of which ``ways`` alone means something.
    """

    ways: int
    shots: int
    episodes: int
    cells: Mapping[str, Cell] = field(default_factory=dict)
    baselines: Mapping[str, Cell] = field(default_factory=dict)
    task: str = "few-shot"

    @property
    def protocol(self) -> str:
        """ "5-way 1-shot, 600 episodes" or "7-way linear probe"."""
        if self.task == PROBE:
            return f"{self.ways}-way {PROBE}"
        return f"{self.ways}-way {self.shots}-shot, {self.episodes} episodes"

    @property
    def best(self) -> tuple[str, Cell] | None:
        """The cheap baseline of the highest mean; None where there is none."""
        return max(self.baselines.items(), key=lambda pair: pair[1].mean, default=None)


@dataclass(frozen=True)
class Row:
    """Everything measured on one set.

    Attributes:
        name: of the set.
        modality: of its items.
        lines: one per protocol.
        zero_shot: accuracy over all classes that have names, where they have.
        zero_shot_ways: how many these are.
        items: how many took part.
        notes: what differs from what was asked, in sentences.
        settings: what it was made with.
    """

    name: str
    modality: str
    lines: tuple[Line, ...]
    zero_shot: Cell | None = None
    zero_shot_ways: int = 0
    items: int = 0
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def texts(self) -> list[list[str]]:
        """For each line the words of every one of `COLUMNS`; zero-shot stands in the first line alone."""
        found = []
        for i, line in enumerate(self.lines):
            best = ABSENT if line.best is None else f"{line.best[1]} ({line.best[0]})"
            levels = [str(line.cells[level]) if level in line.cells else ABSENT for level in CELLS]
            zero = f"{self.zero_shot} ({self.zero_shot_ways}-way)" if self.zero_shot and i == 0 else ABSENT
            found.append([self.name, self.modality, line.protocol, best, *levels, zero, f"{100 / line.ways:.1f}"])
        return found


def machine() -> str:
    """This machine in words: "AMD EPYC, 2 cores", and a GPU's name where torch has one at hand already."""
    name = platform.processor() or platform.machine()
    try:  # on Linux platform.processor() is the architecture or nothing
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{name}, {cores} cores"


@dataclass(frozen=True)
class Table:
    """Rows with what they need to be understood.

    Attributes:
        rows: the sets.
        title: above the table.
        protocol: how it was measured, in words.
        seed: of the episodes.
        machine: where.
        remarks: what the rows say together, in sentences.
    """

    rows: Sequence[Row]
    title: str = "Few-shot and zero-shot accuracy, %"
    protocol: str = (
        "Episodes with 15 queries per class; no group on both sides; mean ± 95 % interval. "
        "Linear probe: half of the groups train, the other half is tested, accuracy ± 95 % interval. "
        "Cheap baselines see the pool without labels; the best one is the best on the test itself. "
        "Together: encoder and language side by side; with names: the class names' text vectors mixed in as well. "
        "At once: a classifier sees all questions of an episode, without labels, before it answers (transductive); "
        "elsewhere each question is answered alone."
    )
    seed: int = 0
    machine: str = field(default_factory=machine)
    remarks: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """Protocol, seed and machine in one line."""
        return f"{self.protocol} Seed {self.seed}. {self.machine}."

    def __rich__(self) -> RichTable:
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, caption=self.caption)
        for i, name in enumerate(COLUMNS):
            table.add_column(name, justify="left" if i < 4 else "right")
        for row in self.rows:
            texts = row.texts()
            for i, cells in enumerate(texts):
                table.add_row(*(cells if i == 0 else ["", "", *cells[2:]]), end_section=i == len(texts) - 1)
        return table

    def print(self, console: Console | None = None) -> None:
        """Print to a rich console, the terminal's where none is given."""
        from rich.console import Console

        target = console or Console()
        target.print(self)
        for remark in self.remarks:
            target.print(remark, markup=False, highlight=False)
        for row in self.rows:
            for note in row.notes:
                target.print(f"{row.name}: {note}", markup=False, highlight=False)

    def markdown(self) -> str:
        """A Markdown table with its caption below."""
        lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * 4 + "---:|" * (len(COLUMNS) - 4)]
        for row in self.rows:
            for cells in row.texts():
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        notes = [f"- {row.name}: {note}" for row in self.rows for note in row.notes]
        remarks = [f"- {remark}" for remark in self.remarks]
        parts = [[f"**{self.title}**"], lines, [self.caption], remarks, notes]
        return "\n\n".join("\n".join(part) for part in parts if part) + "\n"

    def json(self) -> str:
        """All figures, those of every baseline among them; `Table.from_json` reads it."""
        return json.dumps({"format": "allspark table", "version": 1, **asdict(self)}, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Table:
        """The table that `json` wrote; ValueError where the text is something else."""
        try:
            record = json.loads(text)
            if record.pop("format") != "allspark table" or record.pop("version") != 1:
                raise ValueError("another format or version")
            return cls(**{**record, "rows": tuple(_row(row) for row in record["rows"]),
                          "remarks": tuple(record.get("remarks", ()))})  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the text is not a table of this allspark ({error}); write it again") from error

    def png(self) -> bytes:
        """A picture: for each line the levels, the best cheap baseline and chance, with their intervals."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # no pyplot: no global state, no display
        from matplotlib.figure import Figure

        lines = [(row, line) for row in self.rows for line in row.lines if line.task != PROBE]
        figure = Figure(figsize=(9, 1.6 + 0.85 * max(1, len(lines))), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        series = ("best cheap baseline", *LEVELS, TOGETHER)
        colours = ("#9a9a9a", "#9ecae1", "#4292c6", "#084594", "#ef8a62")
        for k, (name, colour) in enumerate(zip(series, colours, strict=True)):
            for i, (_, line) in enumerate(lines):
                cell = (line.best[1] if line.best else None) if k == 0 else line.cells.get(name)
                if cell is not None:
                    bar = axes.barh(i + 0.17 * (k - 2), 100 * cell.mean, 0.15, xerr=100 * cell.interval, color=colour)
                    bar.set_label(name if name not in axes.get_legend_handles_labels()[1] else "_")
        for i, (_, line) in enumerate(lines):
            axes.plot([100 / line.ways] * 2, [i - 0.45, i + 0.45], "k:", label="chance" if i == 0 else "_")
        axes.set_yticks(range(len(lines)), [f"{row.name}\n{line.ways}-way {line.shots}-shot" for row, line in lines])
        axes.invert_yaxis()
        axes.set(xlim=(0, 100), xlabel="accuracy, %", title=self.title)
        if lines:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.6 / max(1, len(lines))), ncols=5, frameon=False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
        return buffer.getvalue()

    def save(self, folder: str | os.PathLike[str], name: str = "table") -> list[Path]:
        """Write ``name``.json, .md and .png into a folder, each whole or not at all.

        Returns:
            The three paths.
        """
        place = Path(folder)
        parts: dict[str, str | bytes] = {"json": self.json() + "\n", "md": self.markdown(), "png": self.png()}
        return [atomic.write(place / f"{name}.{suffix}", content) for suffix, content in parts.items()]


def _row(record: dict[str, Any]) -> Row:
    cells = lambda part: {name: Cell(**cell) for name, cell in part.items()}  # noqa: E731
    lines = tuple(
        Line(**{**line, "cells": cells(line["cells"]), "baselines": cells(line["baselines"])})
        for line in record["lines"]
    )
    zero = None if record["zero_shot"] is None else Cell(**record["zero_shot"])
    return Row(**{**record, "lines": lines, "zero_shot": zero, "notes": tuple(record["notes"])})
