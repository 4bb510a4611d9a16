"""What the training stages share: batches by class, rates by time, checkpoints that appear whole, and the loop."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from augment import AUGMENT, CHEAPER
from packed import Packed, full
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

LOG_EVERY = 50
SAVE_EVERY = 90.0  # seconds of training


def by_class(source: Packed) -> dict[str, list[int]]:
    """Class id -> the rows that have it."""
    rows: dict[str, list[int]] = defaultdict(list)
    for i, label in enumerate(source.labels):
        rows[label].append(i)
    return rows


def draw(rows: dict[str, list[int]], count: int, random: torch.Generator) -> list[int]:
    """Rows of a batch, classes equally often."""
    classes = list(rows)
    picks = torch.randint(len(classes), (count,), generator=random).tolist()
    return [rows[classes[k]][int(torch.randint(len(rows[classes[k]]), (), generator=random))] for k in picks]


DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")  # where every stage trains


def autocast() -> Any:
    """bf16 where the processor multiplies it, else float32."""
    if DEVICE.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    fast = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast("cpu", dtype=torch.bfloat16) if fast else nullcontext()


def rate(progress: float, warmup: float = 0.05) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    return 0.02 + 0.98 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * (progress - warmup) / (1 - warmup))).item())


def parameter_groups(model: nn.Module, lr: float, decay: float, slow: tuple[str, float]) -> list[dict[str, Any]]:
    """Weight decay on matrices alone; the part whose name holds ``slow[0]`` learns at ``slow[1]`` of the rate."""
    part, factor = slow
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = defaultdict(list)
    for name, p in model.named_parameters():
        if p.requires_grad:
            groups[(p.ndim > 1, part in name)].append(p)
    return [
        {"params": ps, "base": lr * (factor if is_slow else 1.0), "weight_decay": decay if matrix else 0.0}
        for (matrix, is_slow), ps in groups.items()
    ]


class Average:
    """A running mean of weights and batch norm statistics over the steps (Polyak and Juditsky, 1992).

    Args:
        model: whose numbers are averaged, from what they are now.
        decay: share of the mean that stays at a step, less over the first steps: (1 + step) / (10 + step).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.values = {k: v.detach().clone() for k, v in model.state_dict().items() if v.is_floating_point()}

    @torch.no_grad()
    def step(self, model: nn.Module) -> None:
        """Take in what the weights are now."""
        self.steps += 1
        share = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        state = model.state_dict()
        torch._foreach_lerp_(list(self.values.values()), [state[k] for k in self.values], share)


def save(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    facts: dict[str, Any],
    average: Average | None = None,
) -> None:
    """Weights, their mean and optimiser moments as tensors, facts as JSON in the header; the file appears whole."""
    tensors = {f"model.{k}": v.contiguous() for k, v in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{k}": v.contiguous() for k, v in average.values.items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{k}": torch.as_tensor(v).clone() for k, v in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path.with_suffix(".partial"), metadata={"facts": json.dumps(facts)})
    os.replace(path.with_suffix(".partial"), path)


def restore(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, average: Average | None = None
) -> dict[str, Any]:
    """Load what ``save`` wrote; the facts come back."""
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    tensors = load_file(path)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, i, name = key.split(".", 2)
            state[int(i)][name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": dict(state)})
    if average is not None:  # a training that was over, or that kept no mean, begins one from its weights
        for key, value in average.values.items():
            value.copy_(tensors.get(f"average.{key}", tensors[f"model.{key}"]))
        average.steps = facts["step"]
    return facts


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Fill an encoder from a checkpoint of stage 2."""
    prefix = "model.encoder."
    state = {k.removeprefix(prefix): v for k, v in load_file(path).items() if k.startswith(prefix)}
    encoder.load_state_dict(state)


Step = Callable[[Packed, list[dict[str, Any]], list[int], torch.Generator], tuple[Tensor, float]]


def run(
    title: str,
    model: nn.Module,
    sources: list[Packed],
    step: Step,
    path: Path,
    *,
    minutes: float,
    batch: int,
    lr: float,
    seed: int,
    slow: tuple[str, float],
    augment: bool = True,
    twice: bool = False,
    cheap: bool = True,
    average: float = 0.0,
) -> dict[str, Any]:
    """Train for so many minutes, over as many runs as it takes; the checkpoint at ``path`` is gone on from.

    Args:
        title: for the log.
        model: what is trained and saved.
        sources: drawn by the square root of their sizes, their classes equally often.
        step: (source, samples, rows, random) -> loss and accuracy of one batch.
        path: of the checkpoint.
        minutes: of training, reading and saving not counted.
        batch: samples per step.
        lr: the highest learning rate.
        seed: of everything drawn.
        slow: (part of a name, factor): parameters that were trained before learn slower.
        augment: change samples as ``AUGMENT`` says for their modality.
        cheap: at first make the changed samples cheaper, as ``CHEAPER`` says; not for encoders of one fixed size.
        twice: half as many items, each drawn twice, so that the halves of a batch are two views of the same items.
        average: decay of the mean of the weights (`Average`) that takes their place at the end; 0: none.

    Returns:
        {"seconds", "step"}.
    """
    model.to(DEVICE)
    optimiser = torch.optim.AdamW(parameter_groups(model, lr, 0.05, slow), lr=lr, betas=(0.9, 0.98))
    facts: dict[str, Any] = {"seconds": 0.0, "step": 0}
    mean = Average(model, average) if average else None
    if path.exists():
        facts = restore(path, model, optimiser, mean)
    random = torch.Generator().manual_seed(seed + facts["step"])
    rows = [by_class(source) for source in sources]
    weights = torch.tensor([len(source.samples) ** 0.5 for source in sources])
    change = AUGMENT.get(sources[0].modality) if augment else None
    cheaper, until = CHEAPER.get(sources[0].modality, (None, 0.0)) if augment and cheap else (None, 0.0)
    budget, saved, last = minutes * 60, facts["seconds"], time.perf_counter()
    sums, count = [0.0, 0.0], 0
    model.train()
    while facts["seconds"] < budget:
        chosen = int(torch.multinomial(weights, 1, generator=random))
        picks = 2 * draw(rows[chosen], batch // 2, random) if twice else draw(rows[chosen], batch, random)
        samples = full([sources[chosen].samples[i] for i in picks])
        if change is not None:
            samples = [change(sample, random) for sample in samples]
        progress = facts["seconds"] / budget
        if cheaper is not None and progress < until:
            samples = [cheaper(sample, random) for sample in samples]
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate(progress)
        loss, accuracy = step(sources[chosen], samples, picks, random)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if mean is not None:
            mean.step(model)
        now = time.perf_counter()
        facts["seconds"], facts["step"], last = facts["seconds"] + now - last, facts["step"] + 1, now
        sums, count = [sums[0] + loss.item(), sums[1] + accuracy], count + 1
        if count == LOG_EVERY:
            print(f"{title} step {facts['step']} {facts['seconds']:.0f} s loss {sums[0] / count:.3f} "
                  f"accuracy {sums[1] / count:.3f}", flush=True)  # fmt: skip
            sums, count = [0.0, 0.0], 0
        if facts["seconds"] - saved > SAVE_EVERY:
            save(path, model, optimiser, facts, mean)
            saved, last = facts["seconds"], time.perf_counter()
    if mean is not None:
        model.load_state_dict({**model.state_dict(), **mean.values})
    save(path, model, optimiser, facts)
    print(f"{title}: {facts['step']} steps in {facts['seconds']:.0f} s", flush=True)
    return facts
