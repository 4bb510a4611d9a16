"""A road past the encoder: the items' own numbers through a perceptron, added to what a head says of the encoder's.

Encoders turn numbers into meaning and lose their exact values on the way, and a perceptron on the plain numbers learns
in seconds what a transformer learns in hours. Both together are "wide and deep" (Cheng et al., DLRS 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..encoders.base import Tokens
from .around import AroundRoad
from .others import WIDTH as OTHERS
from .others import Others
from .trajectory import TrajectoryHead
from .trees import Trees
from .words import WordRoad

BINS = 32  # pieces of a number's range, each with as many training items
FEW = 256  # numbers per item up to which their ranges are cut into pieces
_FAR = 8.0  # standard deviations


def fit(rows: Tensor, cut: Tensor | None = None) -> tuple[dict[str, int], dict[str, Tensor]]:
    """What the training items' numbers say of their own scale.

    Args:
        rows: (N, S) numbers, NaN where an item lacks one.
        cut: (S,) bool, the numbers whose ranges may be cut into pieces; None: all.

    Returns:
        The sizes that ``Wide`` is built with, and its buffers.

    Raises:
        ValueError: no number differs between the items.
    """
    known = rows.isfinite()
    count = known.sum(0).clamp(min=1)
    mean = torch.where(known, rows, 0).sum(0) / count
    spread = (torch.where(known, rows - mean, 0).square().sum(0) / count).sqrt()
    kept = (spread > 1e-6 * rows.nan_to_num().abs().amax(0).clamp(min=1e-3)).nonzero()[:, 0]
    if not len(kept):
        raise ValueError("--wide came for items whose numbers are all the same; leave it out")
    source, left, reach = [], [], []
    may = torch.ones(len(kept), dtype=torch.bool) if cut is None else cut[kept]
    for column in may.nonzero()[:, 0].tolist() if int(may.sum()) <= FEW else []:
        index = kept[column]
        values = rows[known[:, index], index]
        edges = torch.quantile(values, torch.linspace(0, 1, BINS + 1)).unique()
        if len(edges) > 2:  # a number of two values needs no pieces
            source += [column] * (len(edges) - 1)
            left.append(edges[:-1])
            reach.append(edges.diff())
    none = rows.new_zeros(0)
    buffers = {
        "kept": kept,
        "mean": mean[kept],
        "spread": spread[kept],
        "source": torch.tensor(source, dtype=torch.long),
        "left": torch.cat(left) if left else none,
        "reach": torch.cat(reach) if reach else none,
    }
    return {"kept": len(kept), "pieces": len(source)}, buffers


class Wide(nn.Module):
    """(B, S) numbers -> (B, K): standardised by the training items, few numbers also cut into pieces, two layers.

    A number in pieces is one share per piece of its range, how far it reaches into it (piecewise linear encoding,
    Gorishniy et al., NeurIPS 2022), so that a perceptron bends wherever there are data.

    Args:
        sizes: modality -> how many numbers its items have; one after the other in order of their names.
        kept: how many of all differ between items.
        pieces: of all ranges.
        width: of the hidden layers.
        outputs: K.
        dropout: of hidden units.
        others: does it look at the others about a moving thing, too (``Others``)?
    """

    def __init__(
        self, *, sizes: Mapping[str, int], kept: int, pieces: int, width: int, outputs: int, dropout: float,
        others: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.sizes = dict(sorted(sizes.items()))
        for name, size, kind in (
            ("kept", kept, torch.long), ("mean", kept, torch.float32), ("spread", kept, torch.float32),
            ("source", pieces, torch.long), ("left", pieces, torch.float32), ("reach", pieces, torch.float32),
        ):  # fmt: skip
            self.register_buffer(name, torch.full((size,), int(name in ("spread", "reach")), dtype=kind))
        self.others = Others(kept + pieces) if others else None
        self.layers = nn.Sequential(
            nn.Linear(kept + pieces + (OTHERS if others else 0), width), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(width, outputs),
        )  # fmt: skip

    def rows(self, numbers: Mapping[str, Tensor], count: int) -> Tensor:
        """Modality -> (B, S) and B -> (B, kept); a number that is not there counts as its mean.

        Raises:
            ValueError: items of other sizes than those learnt from.
        """
        mean: Tensor = self.mean  # type: ignore[assignment]
        parts = []
        for name, size in self.sizes.items():
            part = numbers.get(name)
            if part is None:
                part = mean.new_full((count, size), torch.nan)
            if part.shape[1] != size:
                raise ValueError(
                    f"{name} items of {part.shape[1]} numbers came; the head was trained (--wide) on items of {size}; "
                    "give items of the same columns, bands and size"
                )
            parts.append(part.to(mean))
        x = torch.cat(parts, 1)[:, self.kept]  # type: ignore[index]
        return torch.where(x.isfinite(), x, mean)

    def forward(self, numbers: Mapping[str, Tensor], count: int) -> Tensor:
        """Modality -> (B, S) and B -> (B, K)."""
        return self.answer(self.rows(numbers, count), numbers.get("others"))

    def answer(self, x: Tensor, others: Tensor | None = None) -> Tensor:
        """(B, kept) of ``rows`` and (B, M, ·) others -> (B, K)."""
        mean: Tensor = self.mean  # type: ignore[assignment]
        # half precision has too few digits for numbers of which the last ones count
        with torch.autocast(mean.device.type, enabled=False):
            shares = ((x[:, self.source] - self.left) / self.reach).clamp(0, 1)  # type: ignore[index, operator]
            standard = ((x - mean) / self.spread).clamp(-_FAR, _FAR)  # type: ignore[operator]
            own = torch.cat([standard, shares], 1)
            return self.layers(own if self.others is None else torch.cat([own, self.others(others, own)], 1))


class WideHead(nn.Module):
    """A head beside a road past the encoder.

    Its answer and the road's are added: neither has to learn the other's scale. Futures are added one by one, as places
    and as logits.

    With ``apart`` the two learn each by itself, as a sum whose one part knows the training items by heart leaves the
    other part nothing to learn from. Their answers are then mixed: logits by their weighted mean, which is the product
    of experts (Hinton, ICANN 1999), numbers likewise.

    Trees have a say where answers are given, not where the rest learns. Classes are mixed by their probabilities: a
    share of trees that is 0 is no certainty, and its logarithm would be one.

    Args:
        head: of classification, regression or trajectory.
        wide: ``Wide``'s arguments but for ``outputs``; "words", where items hold words, are ``WordRoad``'s own;
            "around", where something stands around them, modality -> how many numbers (``AroundRoad``);
            "apart", the road's share of the answer where both learn by themselves, is 0 where they learn together;
            "trees", where trees have a say, are ``Trees``' own, and "trees_share" is their share of the answer.

    Raises:
        ValueError: ``apart`` or trees for a head that has no answer to mix.
    """

    def __init__(self, head: nn.Module, wide: Mapping[str, Any]) -> None:
        super().__init__()
        self.head = head
        futures = head if isinstance(head, TrajectoryHead) else None
        layer: Any = getattr(head, "linear", None)
        given = {"outputs": futures.size if futures else layer.out_features, **wide}
        words, self.apart = given.pop("words", None), float(given.pop("apart", 0.0))
        around, trees = given.pop("around", {}), given.pop("trees", None)
        self.trees_share = float(given.pop("trees_share", 0.0))
        if (self.apart or trees) and futures:
            flag = "--apart" if self.apart else "--trees"
            raise ValueError(f"{flag} came for a head of futures, of which two answers cannot be mixed; leave it out")
        self.trees = None if trees is None else Trees(**trees)
        self.wide = Wide(**given) if given["sizes"] else None
        layers = {key: given[key] for key in ("outputs", "width", "dropout")}
        self.words = None if words is None else WordRoad(**words, **layers)
        self.around = nn.ModuleDict({name: AroundRoad(size, **layers) for name, size in around.items()})

    def forward(
        self, pooled: Tensor, tokens: Tokens | None, numbers: Mapping[str, Tensor], words: tuple[Tensor, Tensor]
    ) -> Tensor:
        """(B, H), Tokens, modality -> (B, S), (B, L) pieces and which are the item's own -> what the head gives.

        "others" among the numbers are those about a moving thing, (B, M, ·).

        While head and road learn apart, both answers come, (B, K, 2).
        """
        roads, votes = [], None
        if self.wide is not None:
            rows = self.wide.rows(numbers, len(pooled))
            roads.append(self.wide.answer(rows, numbers.get("others")))
            votes = None if self.trees is None or self.training else self.trees(rows)
        if self.words is not None:
            roads.append(self.words(*words))
        for name, layers in self.around.items():
            assert isinstance(layers, AroundRoad)
            around = numbers.get(name)  # an item that lacks the modality is one around which nothing stands
            roads.append(layers(pooled.new_zeros(len(pooled), layers.size) if around is None else around))
        road = torch.stack(roads).sum(0)
        if isinstance(self.head, TrajectoryHead):
            return self.head(pooled, tokens) + self.head.in_metres(road)
        # a regression head's std is the unit in which its layers answer
        own, road = self.head(pooled, tokens), getattr(self.head, "std", 1.0) * road
        if not self.apart:
            answer = own + road
        else:
            road = road + getattr(self.head, "mean", 0.0)
            if self.training:
                return torch.stack([own, road], -1)
            answer = torch.lerp(own.to(road), road, self.apart)
        return answer if votes is None else self._with(votes, answer)

    def _with(self, votes: Tensor, answer: Tensor) -> Tensor:
        """The trees' share in an answer: (B, K) each -> (B, K)."""
        assert self.trees is not None
        if not self.trees.classes:
            return torch.lerp(answer.float(), votes, self.trees_share)
        shares = torch.lerp(answer.float().softmax(-1), votes, self.trees_share)
        return shares.clamp_min(torch.finfo(shares.dtype).tiny).log()

    def loss(self, output: Tensor, target: Tensor, **more: Any) -> Tensor:
        """That of the head inside; of two answers the mean."""
        answers = output.unbind(-1) if self.apart and output.ndim == 3 else [output]
        loss: Any = self.head.loss
        return torch.stack([loss(answer, target, **more) for answer in answers]).mean()
