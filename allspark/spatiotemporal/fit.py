"""The training loop: one task per step, drawn by temperature; ranks learn first; a run that was killed goes on bit
for bit.

Everything that is drawn in a step depends on the seed and the step's number alone, so a checkpoint needs no random
state. On several processes every one draws the same task and windows of its own, and gradients are averaged by hand:
a step touches one task's parts, the others keep ``grad = None``, and AdamW leaves them, momentum included, as they
are. (A wrapper for distributed training would want every parameter in every step, and zero gradients would let
momentum move idle tasks.)
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .batches import random_batch
from .checkpoints import load_checkpoint, load_weights, save_checkpoint
from .model import UniSTD
from .ranks import budget_step, clamp_ranks, freeze_ranks, learning_ranks, total_rank
from .score import autocast, device_of, model_forecast, score
from .series import Series
from .simvp import SimVP
from .tasks import Task
from .weigh import weigh


@dataclass(frozen=True)
class Training:
    """How to train.

    Attributes:
        steps: of the optimiser, over all tasks.
        seconds: of training (looks at the validation part not counted) after which it ends, whatever the steps; rate
            and ranks then follow the clock. 0 sets no limit; a run with a limit is not repeated bit for bit.
        clock: what these seconds are: of the "wall", or of the "processor", which neighbours do not stretch.
        lr: the highest learning rate.
        weight_decay: on matrices.
        tokens: about so many tokens a step; a task's batch is this over its tokens, from 2 to ``most`` windows.
        most: windows of a batch.
        temperature: tasks are drawn by (training windows) ** (1 / temperature); 1 is by size, large is evenly.
        rank_share: of the steps during which ranks learn; then they are rounded and frozen.
        rank_travel: units that a rank can move in that time.
        budget_weight: β of the rank budget: how far its step moves a rank, over how far the loss may.
        clip: of the gradient's norm.
        seed: of everything drawn.
        save_every: steps between checkpoints.
        check_every: steps between looks at the validation part.
        check_windows: of each task at such a look.
    """

    steps: int = 1000
    seconds: float = 0.0
    clock: str = "wall"
    lr: float = 1e-3
    weight_decay: float = 0.05
    tokens: int = 2048
    most: int = 16
    temperature: float = 2.0
    rank_share: float = 0.15
    rank_travel: float = 4.0
    budget_weight: float = 1.0
    clip: float = 1.0
    seed: int = 0
    save_every: int = 200
    check_every: int = 500
    check_windows: int = 16


PATH_RATE = 0.1  # of the network's rate


def parameter_groups(model: nn.Module, settings: Training) -> list[dict[str, Any]]:
    """Matrices with decay, the rest without, ranks and linear paths with rates of their own.

    A linear path starts at its least squares fit: it may follow what the network takes over, slowly, and not decay.
    """
    ranks = {id(p) for p in learning_ranks(model)}
    paths = {id(p) for name, p in model.named_parameters() if ".linear." in name}
    learning = [p for p in model.parameters() if p.requires_grad]
    rest = [p for p in learning if id(p) not in ranks | paths]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in rest if p.ndim > 1], "base": settings.lr, "weight_decay": settings.weight_decay},
        {"params": [p for p in rest if p.ndim <= 1], "base": settings.lr, "weight_decay": 0.0},
        {
            "params": [p for p in learning if id(p) in paths],
            "base": PATH_RATE * settings.lr,
            "weight_decay": 0.0,
        },
        {
            "params": [p for p in learning if id(p) in ranks],
            # Adam moves a number by at most about its rate in a step: so many units over the whole learning
            "base": settings.rank_travel / max(settings.rank_share, 1e-9),
            "weight_decay": 0.0,
            "eps": 1e-16,  # their gradients are of the size of Adam's usual 1e-8, which would hold them
            "paced": True,
        },
    ]
    return [group for group in groups if group["params"]]


def rate(progress: float, warmup: float = 0.03) -> float:
    """Linear warm-up, then half a cosine down to 1 %."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def random_of(seed: int, step: int, process: int = 0) -> torch.Generator:
    """The random numbers of one step of one process."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 64 + process)


def batch_size(task: Task, settings: Training) -> int:
    """Windows of a batch of this task."""
    return max(2, min(settings.most, round(settings.tokens / (task.grid[0] * task.grid[1]))))


def masked_mse(output: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Mean squared error over known values; 0 where nothing is known."""
    error = torch.where(known, output - wanted, 0.0)
    return (error**2).sum() / known.sum().clamp(min=1)


@torch.no_grad()
def start_from_data(model: UniSTD, series: Mapping[str, Series]) -> None:
    """Set linear paths to their least squares fit and sensor networks to their adjacency, before the first step."""
    for name, data in series.items():
        parts = model.task_parts(name)
        if data.task.graph:
            if data.adjacency is None:
                raise ValueError(f"task {name!r} is a sensor network without adjacency; give Series(adjacency=…)")
            parts.stem.adjacency.copy_(data.adjacency)  # type: ignore[operator]
        if parts.linear is not None:
            parts.linear.start(data)


def validation(model: nn.Module, series: Mapping[str, Series], windows: int) -> dict[str, float]:
    """Task -> nrmse on its validation part."""
    found = {}
    for name, data in series.items():
        found[name] = score(model_forecast(model, data, name), data, "validation", windows, pictures=False)["nrmse"]
    return found


def fit(
    model: UniSTD | SimVP,
    series: Mapping[str, Series],
    settings: Training,
    folder: Path | None = None,
    *,
    say: Callable[[str], None] | None = None,
    process: int = 0,
    average: Callable[[Tensor], Tensor] | None = None,
    stop_at: int | None = None,
) -> dict[str, Any]:
    """Train a model on its tasks.

    Args:
        model: with parts for every task, or the convolutional baseline of the only one; trained in place. The weights
            that end in it are the last, or those of the look at the validation part with the least mean nrmse,
            whichever is better there once the network's shares are fitted (``weigh``).
        series: task -> data.
        settings: see ``Training``.
        folder: of the checkpoint and ``log.jsonl``; a checkpoint in it is gone on from. None keeps nothing.
        say: called with a line of progress now and then.
        process: this process among several.
        average: averages a tensor over processes.
        stop_at: stop after this step, as if killed; for tests.

    Returns:
        {"step", "seconds" and "processor" (of training alone), "best_step", "validation": {task: nrmse},
        "history": [...], "seconds_by_task": {...}, "shares": {task: share} at the end}.

    Raises:
        ValueError: a task without windows in its training or validation part, a checkpoint of other settings, or a
            limit in seconds for several processes.
        FloatingPointError: the loss stopped being a number.
    """
    if settings.seconds and average is not None:
        raise ValueError(
            "a limit in seconds and several processes came, whose clocks would disagree; give steps, or train in one"
        )
    if settings.clock not in ("wall", "processor"):
        raise ValueError(f"clock is {settings.clock!r}; wanted 'wall' or 'processor'")
    names = list(series)
    windows = {name: data.starts("train") for name, data in series.items()}
    for data in series.values():
        data.starts("validation")  # an empty part is an error now, not after hours
    chances = torch.tensor([len(windows[name]) ** (1 / settings.temperature) for name in names], dtype=torch.float64)
    budget = float(total_rank(model).detach()) if learning_ranks(model) else 0.0
    optimiser = torch.optim.AdamW(parameter_groups(model, settings), lr=settings.lr, betas=(0.9, 0.98))
    facts: dict[str, Any] = {
        "step": 0, "seconds": 0.0, "processor": 0.0,
        "frozen": not learning_ranks(model), "budget": budget, "best": None, "best_step": 0,
        "history": [], "seconds_by_task": dict.fromkeys(names, 0.0), "steps_by_task": dict.fromkeys(names, 0),
        "settings": asdict(settings),
    }  # fmt: skip
    checkpoint, best_path = (folder / "checkpoint.safetensors", folder / "best.safetensors") if folder else (None, None)
    best_weights: dict[str, Tensor] | None = None
    if checkpoint is not None and checkpoint.exists():
        facts = load_checkpoint(checkpoint, model, optimiser)
        if facts["settings"] != asdict(settings):
            raise ValueError(f"{checkpoint} is of a run with other settings; give the same ones, or another folder")
        if facts["frozen"]:
            freeze_ranks(model)
    elif isinstance(model, UniSTD):
        start_from_data(model, series)

    def progress() -> float:
        spent = facts["seconds" if settings.clock == "wall" else "processor"]
        share = spent / settings.seconds if settings.seconds else 0.0
        return min(max(facts["step"] / settings.steps, share), 1.0)

    device, last, busy, sums = (
        device_of(model),
        time.perf_counter(),
        time.process_time(),
        dict.fromkeys(names, (0.0, 0)),
    )
    model.train()
    while progress() < 1 and facts["step"] != stop_at:
        step = facts["step"]
        if not facts["frozen"] and progress() >= settings.rank_share:
            freeze_ranks(model)
            facts["frozen"] = True
        chosen = names[int(torch.multinomial(chances, 1, generator=random_of(settings.seed, step, 63)))]
        data = series[chosen]
        batch = random_batch(
            data, windows[chosen], batch_size(data.task, settings), random_of(settings.seed, step, process)
        )
        pace = progress() / step if step else 1 / settings.steps  # of the whole, in a step
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate(progress()) * (pace if group.get("paced") else 1.0)
        parts = batch.prepared
        with autocast(device):
            output = model(chosen, parts.frames.to(device), parts.known.to(device), parts.calendar.to(device))
        loss = masked_mse(output.float(), batch.wanted.to(device), batch.targets_known.to(device))
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss of {chosen!r} is {loss.item()} at step {step}; lower the learning rate")
        sums[chosen] = (sums[chosen][0] + loss.item(), sums[chosen][1] + 1)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        touched = [p for p in model.parameters() if p.grad is not None]
        if average is not None:
            for p in touched:
                if p.grad is not None:
                    p.grad = average(p.grad)
        nn.utils.clip_grad_norm_(touched, settings.clip)
        optimiser.step()
        if not facts["frozen"]:
            budget_step(model, facts["budget"], settings.budget_weight * optimiser.param_groups[-1]["lr"])
            clamp_ranks(model)
        now = time.perf_counter()
        facts["seconds"] += now - last
        facts["seconds_by_task"][chosen] += now - last
        facts["steps_by_task"][chosen] += 1
        facts["processor"] += time.process_time() - busy
        facts["step"], last, busy = step + 1, now, time.process_time()
        if facts["step"] % settings.check_every == 0 or progress() == 1:
            found = validation(model, series, settings.check_windows)
            mean = sum(found.values()) / len(found)
            losses = {name: total / count for name, (total, count) in sums.items() if count}
            facts["history"].append({
                "step": facts["step"], "seconds": round(facts["seconds"], 1),
                "processor": round(facts["processor"], 1), "validation": found, "loss": losses,
                "rank": float(total_rank(model).detach()) if facts["budget"] else 0.0,
            })  # fmt: skip
            settled = facts["frozen"] or progress() == 1  # ranks that are still to be rounded would change the answer
            if settled and (facts["best"] is None or mean < facts["best"]):
                facts["best"], facts["best_step"] = mean, facts["step"]
                best_weights = {key: value.detach().clone() for key, value in model.state_dict().items()}
                if best_path is not None and process == 0:
                    save_checkpoint(best_path, model, torch.optim.SGD(model.parameters(), lr=0.0), {"step": step + 1})
            if say is not None:
                say(f"step {facts['step']}, {progress():.0%}, {facts['seconds']:.0f} s, validation nrmse {mean:.4f}, "
                    + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))  # fmt: skip
            if folder is not None and process == 0:
                _append(folder / "log.jsonl", facts["history"][-1])
            sums, last, busy = dict.fromkeys(names, (0.0, 0)), time.perf_counter(), time.process_time()
        if checkpoint is not None and process == 0 and facts["step"] % settings.save_every == 0:
            save_checkpoint(checkpoint, model, optimiser, facts)
            last, busy = time.perf_counter(), time.process_time()
    if checkpoint is not None and process == 0:
        save_checkpoint(checkpoint, model, optimiser, facts)
    if progress() == 1:
        best = best_weights
        if best is None and best_path is not None and best_path.exists():
            best = load_weights(best_path)
        facts["shares"] = _better(model, series, best, settings.check_windows, say)
    model.eval()
    return facts


def _better(
    model: UniSTD | SimVP,
    series: Mapping[str, Series],
    best: dict[str, Tensor] | None,
    windows: int,
    say: Callable[[str], None] | None,
) -> dict[str, float]:
    """Leave in the model its last weights or those of the best look, whichever is better once its shares are fitted."""
    found: list[tuple[float, dict[str, float], dict[str, Tensor]]] = []
    last = {key: value.detach().clone() for key, value in model.state_dict().items()}
    for name, weights in (("last", last), ("best look", best)):
        if weights is None:
            continue
        model.load_state_dict(weights)
        shares = weigh(model, series) if isinstance(model, UniSTD) else {}
        errors = validation(model, series, windows)
        mean = sum(errors.values()) / len(errors)
        found.append((mean, shares, {key: value.detach().clone() for key, value in model.state_dict().items()}))
        if say is not None:
            told = ", ".join(f"{task} {share:.2f}" for task, share in shares.items())
            say(f"{name}: validation nrmse {mean:.4f} with shares {told}")
    _, shares, weights = min(found, key=lambda one: one[0])
    model.load_state_dict(weights)
    return shares


def _append(path: Path, line: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
