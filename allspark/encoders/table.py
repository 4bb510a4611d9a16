"""Tables: one row is one item, one cell one token: its column's name in the language space, and its value.

Because a column is known by its name and not by a number, a model reads tables that it has never seen. Names that mean
nearly the same ("hillshade at 9", "hillshade at noon"; "soil type 12", "soil type 29") have nearly the same vectors, so
each name and each category also carries a mark: the signs of its exact words' hash, as different as can be. Values are
standardised by their column's scale and described by sines and cosines of several frequencies (Gorishniy et al.,
NeurIPS 2022) whose frequencies are fixed; a category is its words' vector; a date is its place in year, week and day.
Where rows are compared with few examples, what stands in each column, exactly, stands beside what the tokens say.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..items import Table
from ..modality import Modality, pad, register
from ._augment import cells
from ._exact import WAVES, count_sketch, waves
from .base import Encoder, Tokens
from .vit import Transformer

NUMBER, CATEGORY, DATE, MISSING = range(4)
CELL = 14  # numbers per cell
MARK = 16  # signs of a mark
OCTAVES = 8  # of the periodic features: wavelengths of 16 down to 1/8 spreads
PLACES = 1024  # numbers that say exactly what stands in a row
WAVES_LENGTH = ((1 + WAVES) / 2) ** 0.5  # usual length of what is said of a number: its value, and pairs of length one
_FAR = 16.0  # spreads; beyond this only the logarithm-like asinh tells values apart


def clean(name: str) -> str:
    """A column's name as words.

    Example:
        >>> clean("temp_max"), clean("meanWindSpeed"), clean("PM2.5")
        ('temp max', 'mean Wind Speed', 'PM2.5')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", re.sub(r"[_\-/\s]+", " ", str(name)))
    return spaced.strip() or "column"


def mark(words: str) -> np.ndarray:
    """(MARK,) of 1 and -1 by the hash of exact words; zeros of none."""
    if not words:
        return np.zeros(MARK, np.float32)
    digest = hashlib.blake2b(words.encode(), digest_size=MARK // 8).digest()
    return 2 * np.unpackbits(np.frombuffer(digest, np.uint8)).astype(np.float32) - 1


def _number(value: float, scale: tuple[float, float] | None) -> np.ndarray:
    cell = np.zeros(CELL, np.float32)
    if scale is not None:
        z = (value - scale[0]) / scale[1]
        cell[:3] = 1.0, np.arcsinh(z), np.clip(z, -_FAR, _FAR)
    cell[3:6] = np.arcsinh(value) / 5, float(value).is_integer(), value == 0
    return cell


def _date(value: Any) -> np.ndarray:
    """Year, day of the year, hour and weekday of a Timestamp, datetime or date."""
    cell = np.zeros(CELL, np.float32)
    hour = (getattr(value, "hour", 0) * 60 + getattr(value, "minute", 0)) / 60
    day = 2 * np.pi * value.timetuple().tm_yday / 365.25
    clock, week = 2 * np.pi * hour / 24, 2 * np.pi * value.weekday() / 7
    cell[6:9] = (value.year - 2000) / 25, np.sin(day), np.cos(day)
    cell[9:14] = np.sin(clock), np.cos(clock), hour > 0, np.sin(week), np.cos(week)
    return cell


def _cell(value: Any, scale: tuple[float, float] | None, characters: int) -> tuple[int, np.ndarray, str]:
    """One cell -> its kind, its numbers and its words."""
    import pandas as pd

    nothing = np.zeros(CELL, np.float32)
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return MISSING, nothing, ""
    if isinstance(value, (bool, np.bool_)):
        return CATEGORY, nothing, "yes" if value else "no"
    if isinstance(value, (int, float, np.integer, np.floating)):
        number = float(value)
        return (NUMBER, _number(number, scale), "") if np.isfinite(number) else (MISSING, nothing, "")
    if isinstance(value, (datetime.date, pd.Timestamp)):
        return DATE, _date(value), ""
    words = " ".join(str(value).split())[:characters]
    return (CATEGORY, nothing, words) if words else (MISSING, nothing, "")


def prepare(item: Table, *, characters: int = 200) -> dict[str, Any]:
    """A table of one row -> M cells, one per column.

    Args:
        item: a Table of exactly one row, with its column's scales where they are known.
        characters: longest text of a category; the rest is cut.

    Returns:
        "names" M strings, a column's description or its cleaned name; "texts" M strings, empty but for categories;
        "numbers" (M, F); "kinds" (M,): number, category, date or missing; "marks" (M, 2, MARK): of a column's header
        and of a category.

    Raises:
        ValueError: more rows than one.
    """
    if len(item) != 1:
        raise ValueError(f"a table of {len(item)} rows came; wanted one row, which is one item; give table.rows()")
    descriptions, scales = item.descriptions or {}, item.scales or {}
    names, texts, numbers, kinds, marks = [], [], [], [], []
    for column, name in enumerate(item.frame.columns):
        kind, number, text = _cell(item.frame.iloc[0, column], scales.get(str(name)), characters)
        names.append(str(descriptions.get(name) or descriptions.get(str(name)) or clean(name)))
        texts.append(text)
        numbers.append(number)
        kinds.append(kind)
        marks.append(np.stack([mark(str(name)), mark(text)]))
    return {
        "names": names,
        "texts": texts,
        "numbers": torch.from_numpy(np.stack(numbers)),
        "kinds": torch.tensor(kinds),
        "marks": torch.from_numpy(np.stack(marks)),
    }


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Cells are padded to the longest row, with a ``mask`` (B, M); words stay lists, the model pads their vectors."""
    batch = pad([{key: sample[key] for key in ("numbers", "kinds", "marks")} for sample in samples])
    return {**batch, **{key: [sample[key] for sample in samples] for key in ("names", "texts")}}


def own_numbers(numbers: Tensor, kinds: Tensor, marks: Tensor, **_: Tensor) -> Tensor:
    """(B, M · 26): each cell's standardised value, NaN where it is no number; its date; its category's mark."""
    value = torch.where(numbers[..., 0] > 0, numbers[..., 2], numbers[..., 3])  # a column without a scale as it is
    value = value.masked_fill(kinds != NUMBER, torch.nan)[..., None]
    missing = (kinds == MISSING)[..., None]
    return torch.cat([value, numbers[..., 6:], marks[:, :, 1], missing.to(value.dtype)], -1).flatten(1)


def beside(numbers: Tensor, kinds: Tensor, marks: Tensor, mask: Tensor, **_: Tensor) -> Tensor:
    """(B, PLACES) what stands in each column, exactly (``_exact.py``), by the column's header and a category's words.

    A category is as loud as a number; a column without a scale is told by the logarithm-like asinh of its numbers.
    """
    value = torch.where(numbers[..., 0] > 0, numbers[..., 2], numbers[..., 3])
    words = torch.stack([(kinds == CATEGORY) * WAVES_LENGTH, (kinds == MISSING).float()], -1)
    dates = numbers[..., 6:].float() * (kinds == DATE)[..., None]
    cells = torch.cat([waves(value) * (kinds == NUMBER)[..., None], words, dates], -1)
    header, text = ((marks > 0) << torch.arange(MARK, device=marks.device)).sum(-1).unbind(-1)
    return count_sketch(cells * mask[..., None], (header << MARK) + text, PLACES)


class TableEncoder(Encoder):
    """Cells -> tokens -> transformer, without places: the order of columns means nothing. A row's own token is first.

    Args:
        width: D.  depth, heads: of the transformer.  language_width: H of the names' and categories' text vectors.
    """

    def __init__(
        self, width: int = 128, depth: int = 3, heads: int = 4, language_width: int = 384, drop_path: float = 0.0
    ):
        super().__init__()
        self.width = width
        self.words = nn.LayerNorm(language_width)
        self.name = nn.Linear(language_width, width)
        self.gate = nn.Linear(language_width, width)  # what a value means depends on its column
        self.text = nn.Linear(language_width, width)
        self.header_mark = nn.Linear(MARK, width, bias=False)
        self.text_mark = nn.Linear(MARK, width, bias=False)
        self.value = nn.Sequential(nn.Linear(CELL + 4 * OCTAVES, width), nn.GELU(), nn.Linear(width, width))
        self.kind = nn.Embedding(4, width)
        self.row = nn.Embedding(1, width)
        self.blocks = Transformer(width, depth, heads, drop_path=drop_path)

    def _values(self, numbers: Tensor) -> Tensor:
        """(B, M, F) -> (B, M, D): the numbers, and waves of the standardised and of the raw value."""
        rates = 2 * torch.pi * 2.0 ** torch.arange(-4, OCTAVES - 4, device=numbers.device)
        known = numbers[..., :1] > 0
        angles = numbers[..., 2:4].float()[..., None] * rates  # (B, M, 2, octaves)
        waves = torch.cat([angles.sin(), angles.cos()], -1)
        waves = torch.stack([waves[..., 0, :] * known, waves[..., 1, :]], -2).flatten(-2)
        return self.value(torch.cat([numbers, waves.to(numbers.dtype)], -1))

    def forward(  # type: ignore[override]
        self, names: Tensor, texts: Tensor, numbers: Tensor, kinds: Tensor, marks: Tensor, mask: Tensor
    ) -> Tokens:
        """Text vectors (B, M, H) twice, (B, M, F), (B, M), (B, M, 2, MARK), (B, M) -> Tokens (B, 1 + M, D)."""
        names = self.words(names)
        text = self.text(self.words(texts)) + self.text_mark(marks[:, :, 1])
        value = torch.where((kinds == CATEGORY)[..., None], text, self._values(numbers))
        value = torch.where((kinds == MISSING)[..., None], torch.zeros_like(value), value) + self.kind(kinds)
        column = self.header_mark(marks[:, :, 0])
        tokens = self.name(names) + column + value * (1 + self.gate(names) + column)
        row = self.row.weight.expand(len(tokens), 1, -1).to(tokens.dtype)
        mask = F.pad(mask, (1, 0), value=True)
        return Tokens(self.blocks(torch.cat([row, tokens], 1), mask), mask)


def recognises(item: Any) -> bool:
    """Every table."""
    return isinstance(item, Table)


register(
    Modality(
        name="table",
        item=Table,
        prepare=prepare,
        encoder=TableEncoder,
        prompt="One row of a table, cell by cell:",
        recognises=recognises,
        collate=collate,
        input={"characters": 200},
        config={"width": 128, "depth": 3, "heads": 4, "language_width": 384, "drop_path": 0.0},
        augment=cells,
        numbers=own_numbers,
        beside=beside,
    )
)
