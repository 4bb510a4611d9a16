"""Everything before the first step: the model, the examples and their splits, the head, and what is amiss."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .. import atomic
from ..adapters import add_heads
from ..api import AllSpark, load
from ..readers.manifest import Manifest, Row
from .data import Examples, Skipped, TooManyBadError, survey
from .leakage import leaks
from .options import Options
from .rows import read_rows
from .sampling import class_shares, class_weights, evenly
from .splits import PARTS, split
from .tasks import Task, make_task
from .tasks.classify import UNLABELLED
from .trainables import adapt, checkpointing, stochastic_depth
from .wide import wide_road
from .words import FrozenWords

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass
class Prepared:
    """What the loop starts from.

    Attributes:
        spark: the model with its head, inside ``wrapped``.
        wrapped: peft's model around it; what is not chosen to train is frozen.
        task: of the run.
        examples: prepared.
        parts: "train", "val", "test" -> numbers of examples; those without examples are missing.
        head: its config, or None.
        choose, higher: the metric that decides which weights are best, and whether more of it is better.
        weight: (K,) of the classes in the loss, or None.
        shares: of drawing each training example, or None.
        skipped: rows that could not be used.
        warnings: leaks and the like, a sentence each.
        columns: column of the manifest -> what it was understood as.
        data_hash: of everything that was read.
    """

    spark: AllSpark
    wrapped: PeftModel
    task: Task
    examples: Examples
    parts: dict[str, list[int]]
    head: dict[str, Any] | None
    choose: str
    higher: bool
    weight: torch.Tensor | None
    shares: list[float] | None
    skipped: list[Skipped]
    warnings: list[str]
    columns: dict[str, str]
    data_hash: str

    @property
    def modalities(self) -> list[str]:
        """Those that occur, sorted."""
        return sorted({name for fact in self.examples.facts for name in fact.modalities})


def prepare(
    options: Options, *, rank: int = 0, world: int = 1, gather: Callable[[list], list] | None = None
) -> Prepared:
    """Read, check and build; every rank comes to the same result.

    Raises:
        OSError: the model, the manifest, or a file cannot be read.
        ValueError: data from which nothing can be learnt, one sentence on what to do.
    """
    torch.manual_seed(options.seed)
    spark = load(options.model, device="cpu")
    for name, changes in options.inputs().items():
        if name not in spark.processor.inputs:
            raise ValueError(f"--input names {name!r}; the model reads {', '.join(spark.processor.inputs)}")
        unknown = sorted(set(changes) - set(spark.processor.inputs[name]))
        if unknown:
            known = ", ".join(spark.processor.inputs[name])
            raise ValueError(f"--input names {name}.{unknown[0]}; {name} takes {known}")
        spark.processor.inputs[name] = {**spark.processor.inputs[name], **changes}
    manifest = read_rows(options)
    task = make_task(options, spark.processor.inputs)
    examples = Examples(manifest.rows, task, spark.processor, options)
    try:
        skipped = survey(examples, options, rank=rank, world=world, gather=gather)
    except TooManyBadError as error:
        _write_skipped(options, error.skipped, rank)
        raise
    _write_skipped(options, skipped, rank)
    names = _splits(examples, options)
    parts = {part: [i for i, name in enumerate(names) if name == part] for part in PARTS if part in names}
    answers = {part: [examples.facts[i].answer for i in rows] for part, rows in parts.items()}
    modalities = sorted({name for fact in examples.facts for name in fact.modalities})
    widths = {name: int(spark.model.encoders[name].width) for name in modalities if name in spark.model.encoders}
    head = task.head(answers, modalities, widths)
    examples.head = head
    road = wide_road(options, head, examples, parts["train"]) if options.wide else None
    torch.manual_seed(options.seed)
    if head is not None:
        add_heads(spark.model, {task.name: head})
    if road is not None:
        road(spark.model.heads[task.name])
    if options.gradient_checkpointing:
        checkpointing(spark.model)
    if options.drop_path and "encoders" in options.train:
        stochastic_depth(spark.model, modalities, options.drop_path)
    wrapped = adapt(
        spark.model, options.train, modalities, None if head is None else task.name,
        rank=options.rank, alpha=options.alpha, dropout=options.lora_dropout, base=options.model,
    )  # fmt: skip
    frozen = not any(p.requires_grad for p in spark.model.language.parameters())
    # a sharded model is whole on no process, and a worker's copy would keep its own words
    if frozen and not options.shard and not options.workers:
        examples.words = FrozenWords(spark.model)
    weight, shares = _balance(options, answers["train"], head)
    lines = [manifest.rows[fact.row].line for fact in examples.facts]
    warnings = leaks(examples.facts, names, options.leak_distance, lines)
    if "val" not in parts:
        warnings.append("there is no val split: the last weights are kept as the best, and nothing stops early")
    digest = hashlib.sha256("".join(f"{f.hash}{n}" for f, n in zip(examples.facts, names)).encode()).hexdigest()
    return Prepared(
        spark, wrapped, task, examples, parts, head, *_deciding(task, head, options), weight, shares, skipped, warnings,
        _columns(manifest, options), digest,
    )  # fmt: skip


def _deciding(task: Task, head: dict[str, Any] | None, options: Options) -> tuple[str, bool]:
    """The metric that decides, and whether more of it is better; ValueError where the task has no such metric."""
    if options.choose in ("", task.main):
        return task.main, task.higher
    if options.choose == "loss":
        return "loss", False
    known = task.metrics(head)
    if options.choose not in known:
        raise ValueError(
            f"--choose is {options.choose!r}; --task {options.task} measures {', '.join([*known, 'loss'])}"
        )
    higher = known[options.choose].higher_is_better
    return options.choose, task.higher if higher is None else higher


def _splits(examples: Examples, options: Options) -> list[str]:
    """The split of every example: the manifest's, else drawn.

    Raises:
        ValueError: unknown names, rows without one beside rows with one, or no training part.
    """
    given = [examples.rows[fact.row].split for fact in examples.facts]
    if all(name is None for name in given):
        return split(
            examples.facts, options.split_by, val=options.val, test=options.test, seed=options.seed, block=options.block
        )
    unknown = Counter(name for name in given if name not in PARTS)
    if unknown:
        name, count = unknown.most_common(1)[0]
        raise ValueError(
            f"{count} rows have split {name!r}; wanted {', '.join(PARTS)} in every row, or no column split at all"
        )
    named = {row.split for row in examples.rows if row.split is not None}
    for part in sorted(named | {"train"}):
        if part not in given:
            raise ValueError(f"the split {part} is empty: no usable row has it; add rows, or name the splits otherwise")
    if options.patience and "val" not in given:
        raise ValueError("--patience came without a val split to measure on; name rows val, or leave it out")
    return [str(name) for name in given]


def _balance(
    options: Options, answers: Sequence[Any], head: dict[str, Any] | None
) -> tuple[torch.Tensor | None, list[float] | None]:
    """Class weights for the loss, or shares of drawing."""
    if options.consistency and UNLABELLED in answers:
        if options.balance != "none":
            raise ValueError("--balance came with rows that have no label; label them, or leave one of the two out")
        return None, evenly([answer == UNLABELLED for answer in answers])
    if options.balance == "none":
        return None, None
    if head is None or "labels" not in head:
        raise ValueError(f"--balance came with --task {options.task}, which has no classes; leave it out")
    labels = head["labels"]
    if options.balance == "sampling":
        if not all(isinstance(answer, str) for answer in answers):
            raise ValueError("--balance sampling came for dense classes; use --balance weights")
        return None, class_shares(answers)
    counts = Counter(labels.index(a) for a in answers if isinstance(a, str))
    for answer in answers:
        if isinstance(answer, dict):
            counts.update({int(k): n for k, n in answer.items()})
    return torch.tensor(class_weights([counts[k] for k in range(len(labels))])), None


def _write_skipped(options: Options, skipped: Sequence[Skipped], rank: int) -> None:
    if rank == 0 and skipped and not options.dry_run:
        lines = [json.dumps(asdict(entry), ensure_ascii=False) for entry in skipped]
        atomic.write(Path(options.out) / "skipped.jsonl", "\n".join(lines) + "\n")


def _columns(manifest: Manifest, options: Options) -> dict[str, str]:
    """What each column of the manifest was understood as."""
    found: dict[str, str] = {}

    def note(name: str, meaning: str) -> None:
        found.setdefault(name, meaning)

    if options.columns:
        for column in options.columns:
            note(column, "a cell of the table's row")
    for row in manifest:
        for name in row.inputs:
            if not options.columns:
                note(str(name or "path"), "input" if name else "input, its modality told by the file")
        for name, given in (row.options or {}).items():
            for option in given:
                if not options.columns:
                    note(f"{name or 'path'}.{option}", f"option of {name or 'the reader'}")
        for field in ("label", "target", "question", "answer", "split", "group"):
            if getattr(row, field) is not None:
                column = {"label": options.label_column, "target": options.target_column}.get(field) or field
                note(column, field)
        for name in row.extra or {}:
            note(name, _meaning(name, row))
    return found


def _meaning(name: str, row: Row) -> str:
    if name == "mask":
        return "where the classes of a dense answer are"
    if name in ("lon", "lat", "longitude", "latitude"):
        return "place, for splits and the leakage check"
    if name in ("time", "date", "datetime"):
        return "time, for splits"
    return "not used"
