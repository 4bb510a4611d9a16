"""A road past the language model: which words an item holds, exactly, through a perceptron.

What tells one newsgroup from another are the words that only one of them uses, and each of those is cut into pieces
that all of them use. Pieces are put together again here, by what they spell, and every word has one of ``BUCKETS``
places, by its hash (feature hashing, Weinberger et al., ICML 2009). A word counts (1 + log of how often it stands
there) times its rarity among the training items, all words of an item together one (TF-IDF). Beside them stand the
pairs of neighbouring pieces, which tell what words have in common, and a little of their order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BUCKETS = 65_536
PLACES = 2 * BUCKETS  # of words, then of pairs
_PAIRS = 0.7  # length of all pairs of an item
_LEAST = 2  # letters of a word, and training items that it stands in: what is rarer cannot be learnt from
_BASE = 6364136223846793005  # of the polynomial over a word's letters, modulo 2^64
_LONGEST = 256  # letters whose places are told apart
_APART, _BEGINS, _GOES_ON = 0, 1, 2  # what a piece is: no part of a word, a word's begin, or more of the one before
_SPACE = ("▁", "Ġ")  # what tokenizers write for the blank before a word
_PRIOR = 0.01  # of a word's weight in a class
_TRUST = 0.3  # in naive Bayes, which takes words for independent of each other and is far too sure
_SPREAD = 0.1  # standard deviation of fresh weights: an item's words together have length 1


def _signed(value: int) -> int:
    """A whole number modulo 2^64, as int64 holds it."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


_POWERS = torch.tensor([_signed(pow(_BASE, n, 1 << 64)) for n in range(_LONGEST)])


def spelling(tokenizer: Any) -> dict[str, Tensor]:
    """What each of a tokenizer's V pieces spells, without upper case: "part" (V,), "letters" (V,) and "code" (V,)."""
    part, letters, code = [], [], []
    for piece in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))):
        # not every number below the length is taken in every vocabulary
        said = "" if piece is None else tokenizer.convert_tokens_to_string([piece])
        spelt = said.strip().lower().lstrip("".join(_SPACE))
        begins = piece is not None and (piece.startswith(_SPACE) or said[:1].isspace())
        if not (spelt.isalnum() or (begins and not spelt)):
            spelt, begins, kind = "", False, _APART
        else:
            kind = _BEGINS if begins else _GOES_ON
        value = 0
        for letter in spelt:
            value = _signed(value * _BASE + ord(letter) + 1)
        part.append(kind)
        letters.append(len(spelt))
        code.append(value)
    return {"part": torch.tensor(part), "letters": torch.tensor(letters), "code": torch.tensor(code)}


def _hashed(keys: Tensor) -> Tensor:
    """int64 -> its bucket; the upper bits of the product depend on all below."""
    return ((keys * -7046029254386353131) >> 40) & (BUCKETS - 1)  # 2^64 over the golden ratio


def rarity(items: int, places: Iterable[Tensor]) -> Tensor:
    """(PLACES,) log((1 + N) / (1 + n)) + 1 of what n of N training items hold, 0 of what fewer than two do.

    Args:
        items: N.
        places: those of each batch of items, each once an item, as ``WordRoad.bags`` gives them.
    """
    found = torch.zeros(PLACES)
    for place in places:
        found += torch.bincount(place, minlength=PLACES)
    return torch.where(found >= _LEAST, math.log1p(items) - found.log1p() + 1, 0.0)


def evidence(rows: Iterable[tuple[Tensor, Tensor, int]], classes: int) -> Tensor:
    """What naive Bayes makes of every place: (PLACES, K) log-probabilities in each class, less their mean.

    Args:
        rows: of each training item its (M,) places, their (M,) weights and its class.
        classes: K.
    """
    count = torch.zeros(PLACES, classes)
    for place, weight, label in rows:
        count[place, label] += weight
    chance = ((count + _PRIOR) / (count.sum(0) + _PRIOR * PLACES)).log()
    # of a word that no item holds, classes of few words would seem the likelier ones
    return (chance - chance.mean(1, keepdim=True)) * (count.sum(1, keepdim=True) > 0)


class WordRoad(nn.Module):
    """(B, L) pieces -> (B, K): words put together, weighed by rarity; a linear layer and, beside it, one hidden layer.

    The linear layer starts, where there are classes, from a part of naive Bayes' answer, which needs few examples of
    a word; the hidden layer learns what is missing.

    Args:
        pieces: V, of the tokenizer.
        width: of the hidden layer.
        outputs: K.
        dropout: of hidden units.
    """

    def __init__(self, *, pieces: int, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        for name in ("part", "letters", "code"):
            self.register_buffer(name, torch.zeros(pieces, dtype=torch.long))
        self.register_buffer("rarity", torch.ones(PLACES))
        self.straight = nn.EmbeddingBag(PLACES, outputs, mode="sum")
        nn.init.zeros_(self.straight.weight)
        self.first = nn.EmbeddingBag(PLACES, width, mode="sum")
        nn.init.normal_(self.first.weight, std=_SPREAD)
        self.bias = nn.Parameter(torch.zeros(width))
        self.layers = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))

    def words(self, ids: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L) pieces and which are the item's own -> (W,) the row and (W,) the hash of every word of two letters."""
        part: Tensor = torch.where(own, self.part[ids], _APART)  # type: ignore[index]
        inside = part != _APART
        begins = inside & ((part == _BEGINS) | ~F.pad(inside[:, :-1], (1, 0)))
        kept = ids[inside]
        word = begins[inside].cumsum(0) - 1
        row = begins.nonzero()[:, 0]
        letters: Tensor = self.letters[kept]  # type: ignore[index]
        until = letters.cumsum(0)
        end = torch.zeros_like(row).scatter_reduce(0, word, until, "amax")
        after = (end[word] - until).clamp(max=_LONGEST - 1)  # letters of the word after this piece
        code = self.code[kept] * _POWERS.to(ids.device)[after]  # type: ignore[index]
        spelt = torch.zeros_like(row).index_add(0, word, code)
        long = torch.zeros_like(row).index_add(0, word, letters) >= _LEAST
        return row[long], spelt[long]

    def bags(self, ids: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, L), (B, L) -> (M,) row, (M,) place of each different word or pair, and (M,) how often it stands there."""
        row, spelt = self.words(ids, own)
        both = own[:, 1:] & own[:, :-1]
        pair = ids[:, :-1][both] * len(self.part) + ids[:, 1:][both]  # type: ignore[arg-type]
        place = torch.cat([_hashed(spelt), _hashed(pair) + BUCKETS])
        row = torch.cat([row, both.nonzero()[:, 0]])
        key, count = torch.unique(row * PLACES + place, return_counts=True)
        return key // PLACES, key % PLACES, count

    def weighed(self, ids: Tensor, own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, L), (B, L) -> (M,) row, place and weight: a row's words are of length 1, its pairs of ``_PAIRS``."""
        row, place, count = self.bags(ids, own)
        value = (1 + count.log()) * self.rarity[place].float()  # type: ignore[index]
        pairs = place >= BUCKETS
        half = 2 * row + pairs
        length = value.new_zeros(2 * len(ids)).index_add(0, half, value.square()).sqrt().clamp(min=1e-6)
        return row, place, value / length[half] * torch.where(pairs, _PAIRS, 1.0)

    def forward(self, ids: Tensor, own: Tensor) -> Tensor:
        """(B, L) pieces and which are the item's own words -> (B, K); items without words all get the same."""
        # half precision would lose what rare words weigh
        with torch.autocast(ids.device.type, enabled=False):
            row, place, weight = self.weighed(ids, own)
            sizes = torch.bincount(row, minlength=len(ids))
            bags = (place, sizes.cumsum(0) - sizes, weight.to(self.first.weight))
            return self.straight(*bags) + self.layers(self.first(*bags) + self.bias)

    @torch.no_grad()
    def start(self, items: Iterable[tuple[Tensor, int | None]], count: int, classes: int) -> None:
        """Take rarity and, where there are classes, naive Bayes' evidence from the training items.

        Args:
            items: (L,) pieces and class of each; they are gone through twice.
            count: of the training items, those without words too.
            classes: K, 0 where there are none.

        Raises:
            ValueError: no word or pair of pieces stands in two items.
        """
        held = [(ids[None], torch.ones_like(ids, dtype=torch.bool)[None], label) for ids, label in items]
        self.rarity.copy_(rarity(count, (self.bags(ids, own)[1] for ids, own, _ in held)))  # type: ignore[operator]
        if not bool(self.rarity.any()):  # type: ignore[operator]
            raise ValueError("--wide came for texts of which no two share a word; leave it out")
        if classes:
            rows = ((*self.weighed(ids, own)[1:], int(label or 0)) for ids, own, label in held)
            self.straight.weight.copy_(_TRUST * evidence(rows, classes))
