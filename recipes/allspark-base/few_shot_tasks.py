"""Made few-shot tasks as a training objective: a row of vectors is good where few examples are enough.

A task has classes that exist in it alone. Up to half of its items are given with their classes, ridge regression is
solved on them in closed form, and what it says of the others is the loss, through the solution (R2D2, Bertinetto et
al., ICLR 2019). It is the few-shot classifier that allspark itself prefers, on vectors as it prepares them: at unit
length.
"""

from __future__ import annotations

from collections import defaultdict

import torch
import torch.nn.functional as F
from packed import Packed
from torch import Tensor

PENALTY = 0.03  # of the vectors' total variance
TEMPERATURE = 0.2  # of the scores, as in ``allspark.fewshot_methods``


class Tasks:
    """The tasks of some packed sources, drawn one at a time.

    Args:
        sources: whose labels are "task/class".
    """

    def __init__(self, sources: list[Packed]) -> None:
        self.tasks: list[tuple[Packed, dict[str, list[int]]]] = []
        for source in sources:
            found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
            for row, label in enumerate(source.labels):
                found[label.split("/")[0]][label].append(row)
            self.tasks += [(source, classes) for classes in found.values() if len(classes) > 1]

    def __len__(self) -> int:
        return len(self.tasks)

    def draw(self, random: torch.Generator) -> tuple[list[dict], Tensor, Tensor]:
        """The items of one task, their classes (N,), and which of them are given (N,) bool: 1 to half of each class."""
        source, classes = self.tasks[int(torch.randint(len(self.tasks), (), generator=random))]
        rows, targets, given = [], [], []
        for k, members in enumerate(classes.values()):
            order = torch.randperm(len(members), generator=random).tolist()
            shots = max(1, int(torch.randint(1, len(members) // 2 + 1, (), generator=random)))
            rows += [members[i] for i in order]
            targets += [k] * len(members)
            given += [i < shots for i in range(len(members))]
        return [source.samples[row] for row in rows], torch.tensor(targets), torch.tensor(given)


def task_loss(vectors: Tensor, targets: Tensor, given: Tensor) -> tuple[Tensor, float]:
    """Cross-entropy and accuracy of the items that are not given, by ridge regression on those that are.

    Args:
        vectors: (N, D).
        targets: (N,) classes from 0.
        given: (N,) bool.
    """
    unit = F.normalize(vectors.float(), dim=-1)
    wanted = F.one_hot(targets).float()
    level, centre = wanted[given].mean(0), unit[given].mean(0)
    support, query = unit[given] - centre, unit[~given] - centre
    products = support @ support.T
    penalty = PENALTY * products.diagonal().sum().clamp_min(1e-6)
    eye = torch.eye(len(support), device=vectors.device)
    solution = torch.linalg.solve(products + penalty * eye, wanted[given] - level)
    scores = (query @ support.T) @ solution + level
    loss = F.cross_entropy(scores / TEMPERATURE, targets[~given])
    return loss, float((scores.argmax(1) == targets[~given]).float().mean())
