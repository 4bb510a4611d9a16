"""The manifest made into examples: read, checked, split, and prepared into batches.

Every row is read once before training begins, so that what is wrong with the data is said then and not at three in the
morning. What cannot be read is put aside; what was read is kept in memory as far as it fits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import modality as modalities
from ..items import Item
from ..processor import AllSparkProcessor
from ..readers.manifest import Row
from .facts import Facts, facts_of
from .options import Options
from .rows import Items
from .sampling import Step
from .tasks import Task
from .words import FrozenWords

SHOWN = 3


@dataclass(frozen=True)
class Skipped:
    """A row that could not be used, and why."""

    line: int
    inputs: Mapping[str, str]
    error: str


def size_of(value: Any) -> int:
    """Bytes of the tensors in a nested sample."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        return sum(map(size_of, value.values()))
    return 0


class Examples:
    """Prepared examples by number, kept in memory up to a limit.

    Args:
        rows: of the manifest.
        task: makes a row's examples.
        processor: prepares items.
        options: of the run.
    """

    def __init__(self, rows: Sequence[Row], task: Task, processor: AllSparkProcessor, options: Options) -> None:
        self.rows, self.task, self.processor = rows, task, processor
        self.head: dict[str, Any] | None = None  # its config, once the task has fitted it
        self.facts: list[Facts] = []
        self.words: FrozenWords | None = None  # where the language model does not learn
        self._items = Items(options.hops, options.neighbours)
        self._room = int(options.cache_gib * 2**30)
        self._kept: dict[tuple[int, int], tuple[dict[str, Any], Any, Mapping[str, Item] | None]] = {}
        self._raw: dict[int, tuple[Mapping[str, Item], Any]] = {}  # index -> items and answer that the task varies

    def __len__(self) -> int:
        return len(self.facts)

    def read(self, number: int, keep: bool = True) -> list[Facts]:
        """The facts of one row's examples; OSError or ValueError where it cannot be used."""
        row, found = self.rows[number], []
        for part, (items, answer) in enumerate(self.task.examples(row, self._items(row))):
            sample = self.processor.prepare(items)
            found.append(facts_of(row, number, part, items, self.task.summary(answer)))
            # the answer's tensors need the head's labels, which are not known before everything is read
            kept = (sample, answer, items if not isinstance(answer, (str, float, tuple)) else None)
            if keep and self._room > 0:
                self._room -= size_of(sample)
                self._kept[number, part] = kept
        if not found:
            raise ValueError(f"line {row.line} holds nothing that the task could learn from")
        return found

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Any]:
        """The prepared sample {modality: tensors} and its target."""
        fact = self.facts[index]
        place = (fact.row, fact.part)
        if place not in self._kept:
            row = self.rows[fact.row]
            for part, (items, answer) in enumerate(self.task.examples(row, self._items(row))):
                if part == fact.part:
                    sample = self.processor.prepare(items)
                    return sample, self.task.target(answer, self.head, items, self.processor.inputs)
            raise ValueError(f"line {row.line} has changed since it was first read; start the run again")
        sample, answer, items_kept = self._kept[place]
        if items_kept is not None:  # make the target once, and let go of the items
            target = self.task.target(answer, self.head, items_kept, self.processor.inputs)
            self._kept[place] = (sample, _Made(target), None)
            return sample, target
        if isinstance(answer, _Made):
            return sample, answer.target
        return sample, self.task.target(answer, self.head, {}, self.processor.inputs)

    def varied(self, index: int, random: torch.Generator, turn: bool) -> tuple[dict[str, Any], Any] | None:
        """Sample and target of an example whose items the task changes; None where it leaves that to the modalities."""
        vary = getattr(self.task, "vary", None)
        if vary is None:
            return None
        found = self._raw.get(index)
        if found is None:
            fact = self.facts[index]
            row = self.rows[fact.row]
            found = list(self.task.examples(row, self._items(row)))[fact.part]
            size = sum(getattr(item, "positions", np.empty(0)).nbytes for item in found[0].values())
            if self._room > size:
                self._room -= size
                self._raw[index] = found
        changed = vary(*found, random, turn)
        if changed is None:
            return None
        items, answer = changed
        if answer is found[1]:  # as it was: it is prepared already
            return self[index]
        return self.processor.prepare(items), self.task.target(answer, self.head, items, self.processor.inputs)


@dataclass(frozen=True)
class _Made:
    """A target that is ready."""

    target: Any


def survey(
    examples: Examples, options: Options, *, rank: int = 0, world: int = 1, gather: Callable[[list], list] | None = None
) -> list[Skipped]:
    """Read every row, each rank its part; fills ``examples.facts`` and gives back what had to be put aside.

    Raises:
        ValueError: more than ``--max-bad`` of the rows are unusable, or two units stand in one column.
    """
    facts: list[Facts] = []
    skipped: list[tuple[int, Skipped]] = []
    for number in range(rank, len(examples.rows), world):
        row = examples.rows[number]
        try:
            facts += examples.read(number)
        except (OSError, ValueError, TypeError, MemoryError) as error:
            inputs = {str(name or "path"): str(value)[:200] for name, value in row.inputs.items()}
            skipped.append((number, Skipped(row.line, inputs, " ".join(str(error).split()))))
    if gather is not None:
        facts, skipped = gather(facts), gather(skipped)
    examples.facts = sorted(facts, key=lambda entry: (entry.row, entry.part))
    bad = [entry for _, entry in sorted(skipped, key=lambda pair: pair[0])]
    if len(bad) > options.max_bad * len(examples.rows) or not examples.facts:
        named = "; ".join(f"line {entry.line}: {entry.error}" for entry in bad[:SHOWN])
        raise TooManyBadError(
            f"{len(bad)} of {len(examples.rows)} rows cannot be used, more than --max-bad {options.max_bad:g}: {named}"
            f"{' …' if len(bad) > SHOWN else ''}; mend or drop them, or allow more",
            bad,
        )
    check_units(examples)
    return bad


class TooManyBadError(ValueError):
    """More rows than allowed cannot be used; ``skipped`` names them."""

    def __init__(self, message: str, skipped: list[Skipped]) -> None:
        super().__init__(message)
        self.skipped = skipped


def check_units(examples: Examples) -> None:
    """ValueError where the items of one modality come in several units: their numbers cannot be compared."""
    found: dict[str, Counter[str]] = {}
    first: dict[tuple[str, str], int] = {}
    for entry in examples.facts:
        for name, unit in entry.units.items():
            found.setdefault(name, Counter())[unit] += 1
            first.setdefault((name, unit), examples.rows[entry.row].line)
    for name, units in found.items():
        if len(units) > 1:
            listed = ", ".join(f"{count} in {unit} (line {first[name, unit]})" for unit, count in units.most_common())
            raise ValueError(f"{name} comes in several units: {listed}; bring the column to one unit")


class Batches(torch.utils.data.Dataset):
    """Steps as batches: examples, augmentation, collate; what a step gives depends on its number alone.

    Args:
        examples: where samples come from.
        steps: what each step takes.
        seed: of the augmentation; None for none.
        turn: whether flips and turns are allowed.
        first: the number of the first step, counted from the run's beginning.
        views: how often each example stands in its batch, each time augmented anew: all once, then all again.
    """

    def __init__(
        self,
        examples: Examples,
        steps: Sequence[Step],
        seed: int | None = None,
        *,
        turn: bool = True,
        first: int = 0,
        views: int = 1,
    ) -> None:
        self.examples, self.steps, self.seed, self.turn, self.first = examples, steps, seed, turn, first
        self.views = views

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, number: int) -> tuple[dict[str, Any], list[Any], Step]:
        step = self.steps[number]
        samples, targets = [], []
        for view in range(self.views):
            for index in step.rows:
                sample, target = self._example(index, self.first + number, step.modalities, view)
                samples.append(sample)
                targets.append(target)
        return self.collate(samples, targets), targets, step

    def _example(self, index: int, step: int, modalities: Sequence[str], view: int) -> tuple[dict[str, Any], Any]:
        """These modalities of an example, as they are or changed."""
        if self.seed is None:
            sample, target = self.examples[index]
            return {name: sample[name] for name in modalities}, target
        # by step and example, so that neither a resumed run nor the number of ranks changes the draw
        key = (self.seed, step, index, view) if view else (self.seed, step, index)
        random = torch.Generator().manual_seed(hash(key) % 2**63)
        varied = self.examples.varied(index, random, self.turn)
        if varied is not None:
            return varied
        sample, target = self.examples[index]
        return augmented({name: sample[name] for name in modalities}, target, random, self.turn)

    def collate(self, samples: Sequence[dict[str, Any]], targets: Sequence[Any]) -> dict[str, Any]:
        """The model's batch."""
        words = self.examples.task.words(targets)
        if "answers" in words:  # the end of an answer is learnt like its words
            end = self.examples.processor.tokenizer.eos_token or ""
            words = {**words, "answers": [answer.strip().rstrip(".") + end for answer in words["answers"]]}
        collated = self.examples.processor.collate(samples, **words)
        if self.examples.words is not None:
            collated["inputs"] = self.examples.words.fill(collated["inputs"])
        return collated


def augmented(sample: dict[str, Any], target: Any, random: torch.Generator, turn: bool) -> tuple[dict[str, Any], Any]:
    """Each modality's own changes; a map of classes goes with its picture."""
    changed = {}
    for name, value in sample.items():
        change = modalities.get(name).augment
        if change is None or isinstance(value, Tensor):
            changed[name] = value
        elif isinstance(target, Tensor) and target.ndim == 2 and target.dtype == torch.int64:
            out = change({**value, "target": target}, random, turn)
            target = out.pop("target")
            changed[name] = out
        else:
            changed[name] = change(value, random, turn)
    return changed, target
