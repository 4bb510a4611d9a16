"""The road past the encoder (``heads/wide.py``) made for the training items: how many numbers, and their scales.

Items of words have no numbers but words, which go through a road of their own (``heads/words.py``), and so do nodes of
many features with what stands around them (``heads/around.py``). Beside the numbers of moving things it looks at the
others about them, where these are known (``heads/others.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .. import modality as modalities
from ..heads.others import typical
from ..heads.trees import grow
from ..heads.wide import WideHead, fit
from ..heads.words import spelling
from ..model import own_numbers
from .data import Examples
from .options import Options
from .tasks.classify import UNLABELLED

KINDS = ("classification", "regression", "trajectory")
MOST = 16_384  # items that scales are fitted on, spread evenly over the training part


def wide_road(
    options: Options, head: dict[str, Any] | None, examples: Examples, rows: Sequence[int]
) -> Callable[[nn.Module], None]:
    """Put the road into a head's config, and give back what fills the head's buffers once it is built.

    Args:
        options: of the run; ``wide`` is above 0.
        head: the task's head; changed in place.
        examples: prepared.
        rows: the training part.

    Raises:
        ValueError: a task whose head has no road, or items without numbers of their own or of several sizes.
    """
    if head is None or head["kind"] not in KINDS:
        raise ValueError(
            f"--wide came with --task {options.task}; it is for classify, node, regress and trajectory; leave it out"
        )
    names = sorted({name for i in rows for name in examples.facts[i].modalities})
    chosen = rows[:: max(1, -(-len(rows) // MOST))]
    around = _around(examples, chosen)
    plain = [name for name in names if modalities.get(name).numbers is not None and name not in around]
    wide, buffers, numbers = _of_numbers(examples, chosen, plain)
    spoken = [name for name in names if modalities.get(name).encoder is None]
    if not wide["sizes"] and not spoken and not around:
        raise ValueError(f"--wide came for {', '.join(names)}, whose items have no numbers of their own; leave it out")
    if spoken:
        wide["words"] = {"pieces": len(examples.processor.tokenizer)}
    if around:
        wide["around"] = around
    others = [others for i in chosen for others in _others(examples[i][0])]
    if others:
        wide["others"] = True
        buffers["others.units"] = typical(others)
    head["wide"] = {**wide, "width": options.wide, "dropout": options.wide_dropout}
    if options.apart:
        head["wide"]["apart"] = options.apart
    answers = [examples.facts[i].answer for i in chosen]
    grown = _trees(options, head, answers, numbers, buffers) if options.trees else {}

    def fill(module: nn.Module) -> None:
        assert isinstance(module, WideHead)
        for name, value in buffers.items():
            assert module.wide is not None
            module.wide.get_buffer(name).copy_(value)
        for name, value in grown.items():
            getattr(module.trees, name).copy_(value)
        if module.words is not None:
            for name, value in spelling(examples.processor.tokenizer).items():
                getattr(module.words, name).copy_(value)
            module.words.start(_said(examples, chosen, spoken, head), len(chosen), len(head.get("labels", ())))

    return fill


def _of_numbers(
    examples: Examples, chosen: Sequence[int], names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Tensor], Tensor]:
    """The config and the buffers of the road for the items' numbers (no sizes where no modality has any), and these
    numbers, (N, S).
    """
    if not names:
        return {"sizes": {}, "kept": 0, "pieces": 0}, {}, torch.empty(len(chosen), 0)
    blocks: list[Tensor] = []
    sizes: dict[str, int] = {}
    for name in names:
        record = modalities.get(name)
        members = [k for k, i in enumerate(chosen) if name in examples.facts[i].modalities]
        # one by one: in a batch the smaller ones would be padded to the largest, and look alike
        parts = [own_numbers({name: record.collate([examples[chosen[k]][0][name]])})[name] for k in members]
        several = sorted({part.shape[1] for part in parts})
        if len(several) > 1:
            raise ValueError(
                f"--wide came for {name} items of several sizes ({several[0]} to {several[-1]} numbers); bring them to "
                "one number of columns, bands, dates and pixels, or leave it out"
            )
        sizes[name] = several[0]
        # items that lack a modality are rows of NaN; scales are those of the items that have it
        blocks.append(parts[0].new_full((len(chosen), several[0]), torch.nan))
        blocks[-1][members] = torch.cat(parts)
    rows = torch.cat(blocks, 1)
    cut = torch.cat([torch.full((sizes[name],), modalities.get(name).pieces) for name in names])
    shapes, buffers = fit(rows, cut)
    return {"sizes": sizes, **shapes}, buffers, rows


def _trees(
    options: Options, head: dict[str, Any], answers: Sequence[Any], numbers: Tensor, scales: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Put trees into a head's config; their buffers.

    Args:
        options: of the run; ``trees`` is above 0.
        head: with its road; changed in place.
        answers: of the items that scales are fitted on.
        numbers: of these items.
        scales: the road's buffers: trees read, as it does, what differs between items, and the mean of what is missing.

    Raises:
        ValueError: items without numbers, or a head whose answers do not mix.
    """
    if not numbers.shape[1] or head["kind"] not in ("classification", "regression"):
        what = "futures" if numbers.shape[1] else "words, or nodes of many features"
        raise ValueError(f"--trees came for {what}, on which none are grown; leave it out")
    labels = head.get("labels", ())
    known = [k for k, answer in enumerate(answers) if answer != UNLABELLED]
    told = torch.tensor([labels.index(answers[k]) if labels else float(answers[k]) for k in known])
    balanced = options.balance != "none"
    rows = numbers[known][:, scales["kept"]]
    rows = torch.where(rows.isfinite(), rows, scales["mean"])
    sizes, buffers = grow(rows, told, len(labels), options.trees, options.seed, balanced)
    head["wide"] |= {"trees": {**sizes, "classes": len(labels)}, "trees_share": options.trees_share}
    return buffers


def _around(examples: Examples, chosen: Sequence[int]) -> dict[str, int]:
    """Modality -> how many numbers stand around the items' centres, of those whose items all have them.

    Raises:
        ValueError: items with several numbers of them, as nodes of different graphs.
    """
    widths: dict[str, set[int]] = {}
    for i in chosen:
        for name, sample in examples[i][0].items():
            if isinstance(sample, Mapping) and "around" in sample:
                widths.setdefault(name, set()).add(len(sample["around"]))
    found = {name: sorted(each) for name, each in widths.items() if any(each)}
    for name, several in found.items():
        if len(several) > 1:
            raise ValueError(
                f"--wide came for {name} items of {several[0]} to {several[-1]} features; bring them to one number of "
                "columns, or leave it out"
            )
    return {name: each[0] for name, each in found.items()}


def _others(sample: Mapping[str, Any]) -> Iterator[Tensor]:
    """Who was about the moving things of a prepared sample: (M, ·) where anybody was."""
    for part in sample.values():
        if isinstance(part, Mapping) and len(part.get("others", ())):
            yield part["others"]


def _said(
    examples: Examples, chosen: Sequence[int], spoken: Sequence[str], head: Mapping[str, Any]
) -> Iterator[tuple[Tensor, int | None]]:
    """The pieces of each item that holds words, and its class where it has one."""
    for i in chosen:
        fact = examples.facts[i]
        said = [examples[i][0][name] for name in spoken if name in fact.modalities]
        if said:
            yield torch.cat(said), head["labels"].index(fact.answer) if fact.answer in head.get("labels", ()) else None
