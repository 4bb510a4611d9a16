"""trajectory: K possible futures of a moving thing, after some observed fixes.

An example is a trajectory of at least ``observe`` + ``predict`` fixes: the first are seen, the next are to be told.
Both are turned into a frame of their own, metres from the last seen fix, with the last seen step along the first axis,
so that no place or heading has to be learnt. What is told is the way's deviation from walking on
as in the last seen step; distances between future and truth are the same with and without it.

Metrics (torchmetrics' MeanMetric), in metres: "ade" is the mean distance between future and truth over the predicted
fixes, of the one of the K futures whose mean distance is least; "fde" the distance at the last fix, of the one of the K
whose last distance is least (both as in Social GAN, Gupta et al., CVPR 2018); "ade_first" and "fde_first" are those of
the most probable future.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...encoders._frame import observed, own_frame, walking_on
from ...items import Item, Trajectory
from ...readers.manifest import Row

PACE = 1.7  # people on foot hurry and stroll within this factor of what is usual elsewhere


@dataclass(frozen=True)
class Futures:
    """See ``Task``."""

    observe: int
    predict: int
    modes: int
    at: str = "language"
    name: str = "trajectory"
    main: str = "ade"
    higher: bool = False

    def examples(self, row: Row, items: dict[str, Item]) -> Iterator[tuple[dict[str, Item], np.ndarray]]:
        """The seen fixes, and how far the next deviate from walking on, in metres."""
        tracks = {name: item for name, item in items.items() if isinstance(item, Trajectory)}
        if len(tracks) != 1:
            raise ValueError(
                f"line {row.line} has {len(tracks)} trajectories; --task trajectory wants one in every row"
            )
        ((name, item),) = tracks.items()
        wanted = self.observe + self.predict
        if len(item.positions) < wanted:
            raise ValueError(
                f"line {row.line} has {len(item.positions)} fixes; wanted {wanted} (--observe {self.observe} --predict "
                f"{self.predict})"
            )
        metres, _ = own_frame(item, self.observe)
        ahead = metres[self.observe : wanted] - walking_on(metres, self.observe, self.predict)
        yield {**items, name: observed(item, self.observe)}, ahead

    def vary(
        self, items: Mapping[str, Item], answer: np.ndarray, random: torch.Generator, turn: bool
    ) -> tuple[dict[str, Item], np.ndarray] | None:
        """Half of the ways as they are, the others slower or faster by up to ``PACE`` and, half of those, mirrored.

        Places where everybody hurries are learnt for from others. Who else was about is changed likewise. Noise on the
        seen fixes, or fixes left out, would change the step that is walked on, so there is none. None where more than
        the way is known of a place: a map would not be mirrored with it.
        """
        if len(items) > 1:
            return None
        ((name, item),) = items.items()
        assert isinstance(item, Trajectory)
        drawn = torch.rand(3, generator=random).tolist()
        if drawn[0] < 0.5:
            return dict(items), answer
        factor = PACE ** (2 * drawn[1] - 1)
        across = -factor if turn and drawn[2] < 0.5 else factor
        axes = np.array([factor, across])
        others = None if item.others is None else item.others * axes
        varied = Trajectory(item.positions[:, :2] * axes, item.time, crs="metres", others=others)
        return {name: varied}, answer * axes

    def summary(self, answer: np.ndarray) -> float:
        """How far the last fix deviates."""
        return float(np.hypot(*answer[-1]))

    def head(
        self, parts: Mapping[str, Sequence[float]], modalities: Sequence[str], widths: Mapping[str, int]
    ) -> dict[str, Any]:
        """K futures in units of a typical distance."""
        from . import pooled_width

        return {
            "kind": "trajectory",
            "steps": self.predict,
            "modes": self.modes,
            "scale": float(np.sqrt(np.mean(np.square(parts["train"])))) or 1.0,
            "observe": self.observe,
            "onward": True,
            "step": True,
            **pooled_width(self.at, modalities, widths),
        }

    def target(self, answer: np.ndarray, head: Any, items: Mapping[str, Item], settings: Any) -> Tensor:
        """(T, 2) metres."""
        return torch.from_numpy(np.ascontiguousarray(answer, dtype=np.float32))

    def words(self, targets: Sequence[Any]) -> dict[str, list[str]]:
        """None: the head answers."""
        return {}

    def loss(self, output: Any, targets: Sequence[Tensor], head: Any, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """The nearest future's distance, and the cross-entropy of choosing it."""
        target = torch.stack(list(targets))
        total = torch.tensor(float(len(target)), device=target.device)
        return head.loss(output.logits.float(), target) * total, total

    def metrics(self, head: Any) -> dict[str, Any]:
        """See the file's head."""
        from torchmetrics import MeanMetric

        return {name: MeanMetric() for name in ("ade", "fde", "ade_first", "fde_first")}

    def update(self, metrics: dict[str, Any], output: Any, targets: Sequence[Tensor], labels: Any) -> None:
        """Add one batch."""
        target = torch.stack(list(targets))
        logits = output.logits.float()
        futures = logits[..., :-1].unflatten(-1, (self.predict, 2))  # (B, K, T, 2)
        apart = (futures - target[:, None]).norm(dim=-1)  # (B, K, T)
        first = logits[..., -1].argmax(1)
        rows = torch.arange(len(target), device=target.device)
        metrics["ade"].update(apart.mean(-1).min(1).values)
        metrics["fde"].update(apart[..., -1].min(1).values)
        metrics["ade_first"].update(apart.mean(-1)[rows, first])
        metrics["fde_first"].update(apart[..., -1][rows, first])
