"""What a fine-tuning is told: one record, which the command line fills and ``recipe.json`` keeps."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, get_args

TaskName = Literal["classify", "regress", "segment", "answer", "trajectory", "node"]
PARTS = ("heads", "prompts", "bridges", "encoders", "lora", "encoder-lora", "words")


def _option(default: Any, words: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": words, **more})


@dataclass
class Options:
    """Everything that a run depends on.

    The help of each field is the documentation of the command's option of the same name.
    """

    data: str = field(metadata={"help": "the manifest: .csv, .jsonl or .parquet, one row for each example"})
    out: str = field(metadata={"help": "the folder that becomes a PEFT folder"})
    task: TaskName = field(metadata={"help": "what is learnt", "choices": get_args(TaskName)})
    model: str = _option("allspark-base", "a shipped model's name, or a folder made by save()")
    # what trains
    train: list[str] = field(
        default_factory=lambda: ["heads", "prompts", "bridges", "lora"],
        metadata={"help": "which parts learn", "choices": PARTS},
    )
    at: str = _option("language", "where the head reads", choices=("encoder", "bridge", "language", "words"))
    wide: int = _option(0, "units of a perceptron that reads the items' own numbers or words past the encoder; 0: none")
    wide_dropout: float = _option(0.3, "of that perceptron's units")
    apart: float = _option(0.0, "the road's share of the answer (--wide), where it and the head learn apart; 0: as one")
    trees: int = _option(0, "trees on the items' own numbers (--wide) that have a say in the answer; 0: none")
    trees_share: float = _option(0.5, "of the answer, that is the trees'")
    rank: int = _option(8, "of LoRA")
    alpha: float = _option(16.0, "LoRA's scale is alpha / rank")
    lora_dropout: float = _option(0.05, "before LoRA's first matrix")
    # the data
    columns: list[str] = field(
        default_factory=list, metadata={"help": "for tables: the manifest's own columns that make one row of a table"}
    )
    label_column: str = _option("", "the column of labels, where it is not called label")
    target_column: str = _option("", "the column of numbers, where it is not called target")
    classes: list[str] = field(
        default_factory=list,
        metadata={"help": "for segment: NUMBER=name, what the numbers in masks mean; others are not learnt"},
    )
    window: float = _option(0.0, "for segment on clouds: metres of the squares that a cloud is cut into; 0: whole")
    observe: int = _option(8, "for trajectory: fixes that are seen")
    predict: int = _option(12, "for trajectory: fixes after them that are predicted")
    modes: int = _option(20, "for trajectory: futures that are predicted")
    hops: int = _option(2, "for node: how far the neighbourhood of a node reaches")
    neighbours: int = _option(128, "for node: most nodes of a neighbourhood")
    input: list[str] = field(
        default_factory=list, metadata={"help": "MODALITY.NAME=VALUE, a change of preprocessing, as sar.size=64"}
    )
    split_by: str = _option(
        "random", "where the manifest has no split column", choices=("random", "group", "block", "time")
    )
    val: float = _option(0.15, "share of the examples held back to choose the best weights")
    test: float = _option(0.0, "share held back to be measured once, at the end")
    block: float = _option(1000.0, "for split-by block: metres of a block's side")
    leak_distance: float = _option(50.0, "metres: places nearer than this in two splits are warned of")
    max_bad: float = _option(0.05, "share of examples that may be unreadable before the run stops")
    modality_dropout: float = _option(0.3, "chance that a modality is left out of a step, where there are several")
    augment: str = _option("auto", "augmentations proper to each modality", choices=("auto", "none"))
    heading: bool = _option(False, "a heading matters (ground views, wind, traffic): no flips, no turns")
    balance: str = _option("none", "for classes of unequal size", choices=("none", "weights", "sampling"))
    smoothing: float = _option(0.0, "of labels, shared among all classes")
    consistency: float = _option(
        0.0, "for classify and node: weight of saying the same of an item augmented twice, labelled or not; 0: none"
    )
    cache_gib: float = _option(4.0, "memory for prepared examples; what does not fit is read again")
    workers: int = _option(0, "processes that prepare batches beside each training process")
    # the training
    epochs: float = _option(20.0, "passes over the training part")
    steps: int = _option(0, "optimiser steps instead of epochs")
    batch: int = _option(16, "examples per process and step")
    accumulate: int = _option(1, "steps whose gradients are added before the optimiser moves")
    lr: float = _option(5e-4, "highest learning rate of heads, prompts, bridges and LoRA")
    encoder_lr: float = _option(1e-4, "highest learning rate of encoders that train as a whole")
    weight_decay: float = _option(0.01, "on matrices alone")
    warmup: float = _option(0.05, "share of the steps in which the rate rises; then half a cosine")
    clip: float = _option(1.0, "largest norm of the gradient")
    average: float = _option(0.0, "decay of a moving average of the weights that is measured and kept; 0: none")
    drop_path: float = _option(0.0, "stochastic depth at the last block of encoders that train as a whole")
    precision: str = _option("auto", "bf16 where the machine multiplies it, or as said", choices=("auto", "no", "bf16"))
    gradient_checkpointing: bool = _option(False, "less memory for more time")
    shard: bool = _option(False, "with several processes: shard the model (FSDP2) instead of copying it (DDP)")
    choose: str = _option("", "metric of val that chooses the best weights; empty: the task's first")
    patience: int = _option(0, "measurements without improvement before the run stops; 0: never")
    eval_every: int = _option(0, "optimiser steps between measurements on the val split; 0: once per epoch")
    save_every: int = _option(0, "optimiser steps between checkpoints; 0: at every measurement")
    resume: bool = _option(False, "go on from the last checkpoint in the out folder")
    seed: int = _option(0, "of everything drawn")
    tracker: list[str] = field(default_factory=list, metadata={"help": "tensorboard, or any tracker of Accelerate"})
    dry_run: bool = _option(False, "measure two steps and say what would happen; nothing is written")

    def __post_init__(self) -> None:
        def check(good: bool, name: str, wanted: str) -> None:
            if not good:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)!r}; wanted {wanted}")

        for entry in fields(self):
            choices = entry.metadata.get("choices")
            if choices is not None:
                value = getattr(self, entry.name)
                known = set(value) <= set(choices) if isinstance(value, list) else value in choices
                check(known, entry.name, f"{'some' if isinstance(value, list) else 'one'} of {', '.join(choices)}")
        check(bool(self.train), "train", f"at least one of {', '.join(PARTS)}")
        check(not {"encoders", "encoder-lora"} <= set(self.train), "train", "either encoders or encoder-lora, not both")
        for name in ("batch", "accumulate", "rank", "observe", "predict", "modes", "hops", "neighbours"):
            check(getattr(self, name) >= 1, name, "a whole number of at least 1")
        check(self.epochs > 0 or self.steps > 0, "epochs", "more than 0")
        shares = ("val", "test", "max_bad", "modality_dropout", "warmup", "smoothing", "average")
        for name in (*shares, "lora_dropout", "drop_path", "wide_dropout", "apart", "trees_share"):
            check(0 <= getattr(self, name) < 1, name, "a share from 0 to below 1")
        check(self.wide >= 0, "wide", "a whole number of at least 0")
        check(self.consistency >= 0, "consistency", "a number of at least 0")
        if self.consistency:
            check(self.task in ("classify", "node"), "consistency", "--task classify or node beside it")
            check(self.augment != "none", "consistency", "augmentations (--augment auto), of which it says the same")
        check(not self.apart or self.wide > 0, "apart", "--wide beside it")
        check(self.trees >= 0, "trees", "a whole number of at least 0")
        check(not self.trees or self.wide > 0, "trees", "--wide beside it")
        check(self.val + self.test < 1, "val", f"less than 1 together with --test {self.test}")
        for name in ("lr", "encoder_lr", "clip", "block", "alpha"):
            check(getattr(self, name) > 0, name, "a number above 0")

    def inputs(self) -> dict[str, dict[str, Any]]:
        """--input as modality -> changes of its ``prepare`` arguments; ValueError where it cannot be read."""
        changes: dict[str, dict[str, Any]] = {}
        for entry in self.input:
            place, equals, value = entry.partition("=")
            modality, dot, name = place.partition(".")
            if not (equals and dot and name):
                raise ValueError(f"--input is {entry!r}; wanted MODALITY.NAME=VALUE, as sar.size=64")
            try:
                changes.setdefault(modality, {})[name] = json.loads(value)
            except json.JSONDecodeError:
                changes.setdefault(modality, {})[name] = value
        return changes

    def class_names(self) -> dict[int, str]:
        """--classes as number -> name."""
        names = {}
        for entry in self.classes:
            number, equals, name = entry.partition("=")
            if not equals or not number.strip().lstrip("-").isdigit() or not name.strip():
                raise ValueError(f"--classes is {entry!r}; wanted NUMBER=name, as 2=ground")
            names[int(number)] = name.strip()
        return names


def parse(arguments: Sequence[str] | None = None) -> Options:
    """The command line -> Options; a wrong value ends the program with a sentence."""
    parser = argparse.ArgumentParser(
        prog="accelerate launch -m allspark.finetune",
        description="Fine-tune a model on a manifest of your own data; the result is one PEFT folder.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for entry in fields(Options):
        flag = "--" + entry.name.replace("_", "-")
        words, choices = entry.metadata["help"], entry.metadata.get("choices")
        factory = entry.default_factory
        if entry.default is MISSING and factory is MISSING:
            parser.add_argument(flag, required=True, help=words, choices=choices)
        elif isinstance(entry.default, bool):
            parser.add_argument(flag, action="store_true", help=words)
        elif callable(factory):
            parser.add_argument(flag, nargs="*", default=factory(), help=words, choices=choices)
        else:
            parser.add_argument(flag, type=type(entry.default), default=entry.default, help=words, choices=choices)
    given = vars(parser.parse_args(arguments))
    try:
        return Options(**given)
    except ValueError as error:
        parser.error(str(error))
