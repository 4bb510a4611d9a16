"""What a run says while it runs: a bar on the terminal, JSON Lines beside the weights, Accelerate's trackers."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import atomic

FILE = "metrics.jsonl"


class Journal:
    """Measurements by step.

    Args:
        out: the run's folder.
        total: steps of the run.
        resumed: the step that a resumed run starts from; later lines of the file are those of a run that was killed.
        accelerator: whose trackers are told too.
        main: only the main process writes and shows.
    """

    def __init__(self, out: Path, total: int, resumed: int, accelerator: Any, main: bool) -> None:
        self.file, self.accelerator, self.main = out / FILE, accelerator, main
        self._bar: Any = None
        if not main:
            return
        kept = []
        if resumed and self.file.is_file():
            for line in self.file.read_text(encoding="utf-8").splitlines():
                if line.endswith("}") and json.loads(line)["step"] <= resumed:
                    kept.append(line)
        atomic.write(self.file, "".join(f"{line}\n" for line in kept))
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("training", total=total, completed=resumed)

    def say(self, words: str) -> None:
        """One line for the user."""
        if self.main:
            print(words, file=sys.stderr, flush=True)

    def step(self, step: int, loss: float) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=f"loss {loss:.3f}")

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """One line of the file, and the trackers."""
        self.accelerator.log(dict(values), step=step)
        if self.main:
            with open(self.file, "a", encoding="utf-8") as opened:
                opened.write(json.dumps({"step": step, **values}) + "\n")

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
