"""Everything that rebuilds a forecaster without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from .tasks import Task

MODEL_TYPE = "unistd"
PROJECTIONS = ("q", "k", "v", "proj")


@dataclass(frozen=True)
class UniSTDConfig:
    """The architecture as data. Statistics of the tasks do not belong to it (they stand in processor_config.json).

    Attributes:
        width: D of the trunk.
        depth: its blocks.
        heads: its attention heads.
        mlp_ratio: hidden width of its MLPs over D.
        trunk: where its weights came from, in words.
        train_trunk: does the trunk learn too? The method keeps it frozen.
        experts: experts of the RA-MoE on each projection, and of the temporal modules' ("temporal"); 0 hangs none on.
        max_rank: columns of each expert, by the same names.
        rank: of each expert at the start.
        adaptive: do the ranks learn?
        temporal: has every block a temporal module?
        temporal_ratio: D over its hidden width.
        linear: has every task a linear map from its input frames beside the network?
        tasks: name -> record.
        licences: source -> licence of what the weights were trained on.
    """

    width: int = 256
    depth: int = 6
    heads: int = 4
    mlp_ratio: float = 4.0
    trunk: str = "random"
    train_trunk: bool = False
    experts: dict[str, int] = field(default_factory=lambda: {"q": 6, "k": 6, "v": 6, "proj": 2, "temporal": 2})
    max_rank: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*PROJECTIONS, "temporal"), 8))
    rank: dict[str, float] = field(default_factory=lambda: dict.fromkeys((*PROJECTIONS, "temporal"), 4.5))
    adaptive: bool = True
    temporal: bool = True
    temporal_ratio: int = 6
    linear: bool = True
    tasks: dict[str, Task] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.depth < 1 or self.width % 4 or self.width % self.heads:
            raise ValueError(
                f"a trunk of depth {self.depth}, width {self.width} and {self.heads} heads was asked for; wanted at "
                "least one block and a width that divides by 4 and by the heads"
            )

    @property
    def rank_budget(self) -> float:
        """C: the sum of all ranks at the start, which learning may redistribute and not raise."""
        names = (*PROJECTIONS, "temporal") if self.temporal else PROJECTIONS
        return self.depth * sum(self.experts[name] * self.rank[name] for name in names)

    def changed(self, **fields_: Any) -> UniSTDConfig:
        """A copy with some fields changed."""
        return replace(self, **fields_)

    def to_json(self) -> dict[str, Any]:
        """config.json: the records without their statistics and without the split, which belongs to the data."""
        document = asdict(self)
        document["tasks"] = {
            name: {key: value for key, value in task.to_json().items() if key not in ("mean", "std", "split")}
            for name, task in self.tasks.items()
        }
        return {"model_type": MODEL_TYPE, **document}

    def statistics(self) -> dict[str, dict[str, list[float]]]:
        """processor_config.json's part: task -> its mean and std."""
        return {name: {"mean": list(task.mean), "std": list(task.std)} for name, task in self.tasks.items()}

    @classmethod
    def from_json(
        cls, document: Mapping[str, Any], statistics: Mapping[str, Mapping[str, Any]] | None = None
    ) -> UniSTDConfig:
        """Back from ``to_json`` and ``statistics``.

        Raises:
            ValueError: another model's config, an unknown field, or a task without statistics.
        """
        values = dict(document)
        kind = values.pop("model_type", None)
        if kind != MODEL_TYPE:
            raise ValueError(f"a config of model type {kind!r} came; wanted {MODEL_TYPE!r}; load another folder")
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"config.json has the field {unknown[0]!r}, which no forecaster has; save the model again")
        tasks = {}
        for name, record in values.get("tasks", {}).items():
            found = (statistics or {}).get(name)
            if statistics is not None and found is None:
                raise ValueError(f"processor_config.json has no statistics of task {name!r}; save the model again")
            tasks[name] = Task.from_json({**record, **(found or {})})
        return cls(**{**values, "tasks": tasks})


UNISTD_BASE = UniSTDConfig()
"""unistd-base without its tasks: 6 blocks of 256, of the width of allspark-base's RGB encoder."""

UNISTD_TINY = UniSTDConfig(
    width=32,
    depth=2,
    heads=2,
    experts={"q": 2, "k": 2, "v": 2, "proj": 2, "temporal": 2},
    max_rank=dict.fromkeys((*PROJECTIONS, "temporal"), 4),
    rank=dict.fromkeys((*PROJECTIONS, "temporal"), 2.5),
)
"""A few thousand weights, for tests and for trying a task of one's own."""
