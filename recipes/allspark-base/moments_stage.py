"""Between stages 2 and 3: the road of an encoder past its transformer (``encoders/moments.py``, ``encoders/road.py``)
learns from small tasks.

The rest of the encoder stands still, so nothing that it knows is lost, and as its part of every item's vector is made
once, a step costs a twentieth of one of stage 2, and next to nothing where what the road reads does not learn either.
Each step draws a task: a made one (sources of task "episodes"), or a dozen items of each of some classes of a training
source. Ridge regression is solved on a part of the items, cross-entropy taken on the others (R2D2, Bertinetto et al.,
ICLR 2019), so that examples of *any* classes can be told apart linearly.

Where there are no made tasks, a road that learns a few real classes forgets the others as the transformer did. With
``--principal`` it learns none: it hands on the principal axes of what it reads over the training items. With
``--beside`` the transformer is made quieter than the road in the end.

    python recipes/allspark-base/moments_stage.py --data DIR --out runs/base
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from packed import Packed, full, pack, read
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from training import autocast, rate
from warm_start import STEMS, load_warm_start

from allspark import modality as modalities
from allspark.bridges import masked_mean
from allspark.encoders.base import Encoder
from allspark.encoders.road import Road
from allspark.evaluate.sources import SOURCES

SHOTS = (1, 3, 5, 5)
ITEMS = 12  # of a class of a labelled source in one task
CLASSES = 10  # of a labelled source in one task, at most
FINER = 0.5  # loudness of what the maps before the last hold beside the last
LOG_EVERY = 200
PREFIX = "model.encoder."
Tasks = list[list[list[int]]]  # task -> class -> rows


class Ridge(nn.Module):
    """Ridge regression of one-hot classes in closed form; its penalty (a share of the variance) and scale learn."""

    def __init__(self) -> None:
        super().__init__()
        self.penalty, self.scale = nn.Parameter(torch.tensor(-4.0)), nn.Parameter(torch.tensor(2.0))  # logarithms

    def forward(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        """(S, D) items of the classes (S,) and (Q, D) -> (Q, K) scores."""
        support, query = F.normalize(support, dim=-1), F.normalize(query, dim=-1)
        centre = support.mean(0)
        support, query = support - centre, query - centre
        targets = F.one_hot(labels).float()
        gram = support @ support.T
        penalty = gram.trace() * self.penalty.exp() + 1e-6
        weights = torch.linalg.solve(gram + penalty * torch.eye(len(gram)), targets - targets.mean(0))
        return query @ support.T @ weights * self.scale.exp()


def made_tasks(labels: list[str]) -> Tasks:
    """Labels of the form TASK/CLASS -> rows by task and class."""
    rows: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, label in enumerate(labels):
        task, name = label.split("/")
        rows[task][name].append(row)
    return [list(classes.values()) for classes in rows.values()]


def still(encoder: Encoder, source: Packed, collate: Any) -> tuple[Tensor, Tensor | None]:
    """What does not learn of every item: (N, D) the encoder's answer without its road, and (N, 2, K) what a linear road
    reads, as the mean and the mean square over an item's tokens (None for a road that learns what to read).

    Items of a task are alike and go together.
    """
    keys = [label.split("/")[0] if "/" in label else str(row // 50) for row, label in enumerate(source.labels)]
    cuts = [0, *(i for i in range(1, len(keys)) if keys[i] != keys[i - 1]), len(keys)]
    moments, encoder.moments, found, numbers = encoder.moments, None, [], []
    with torch.inference_mode(), autocast():
        for begin, end in pairwise(cuts):
            batch = collate(full(source.samples[begin:end]))
            tokens = encoder(**batch)
            found.append(masked_mean(tokens.features, tokens.mask).float())
            if isinstance(moments, Road):
                read, mask = encoder.road_numbers(**batch)
                numbers.append(torch.stack([masked_mean(read, mask), masked_mean(read.square(), mask)], 1))
    encoder.moments = moments
    return torch.cat(found).clone(), torch.cat(numbers).clone() if numbers else None


@torch.no_grad()
def principal(encoder: Encoder, rest: Tensor, means: Tensor) -> None:
    """The road becomes a projection onto the principal axes of items' numbers, as loud as the rest of the encoder is.

    Args:
        encoder: its ``finer`` says how many of the road's numbers, the first ones, are of maps before the last.
        rest: (M, D) what the encoder says of items without its road.
        means: (M, N) what a road reads of them.
    """
    loud = torch.ones(means.shape[1])
    loud[: encoder.finer] = FINER
    rows = encoder.moments.standard(means) * loud
    rows = rows - rows.mean(0)
    axes = torch.linalg.eigh(rows.T @ rows).eigenvectors.flip(1).T[: encoder.width]  # those of largest variance first
    size = (rest - rest.mean(0)).norm(dim=1).mean() / (rows @ axes.T).norm(dim=1).mean()
    encoder.moments.out.weight.zero_()[: len(axes)] = axes * loud * size


@torch.no_grad()
def quieten(encoder: Encoder, share: float) -> None:
    """The transformer's tokens times ``share``: what it learnt of some classes drowns what tells others apart."""
    last = ("transformer.norm", "blocks.norm")
    norm = [module for name, module in encoder.named_modules() if name.endswith(last)][-1]
    norm.weight.mul_(share)
    norm.bias.mul_(share)


def fill(encoder: Encoder, state: dict[str, Tensor], modality: str, warm: Path | None) -> None:
    """An encoder of today's preset from stage 2's tensors; a road that they lack stays as it is.

    Raises:
        ValueError: they lack something else, and ``warm`` has it not.
    """
    missing = encoder.load_state_dict(state, strict=False).missing_keys
    stem = f"{STEMS.get(modality)}."
    if warm is not None and any(key.startswith(stem) for key in missing):
        load_warm_start(encoder, modality, warm)
        missing = [key for key in missing if not key.startswith(stem)]
    missing = [key for key in missing if not key.startswith("moments.")]
    if missing:
        raise ValueError(f"lacks {', '.join(missing[:3])}: it is another encoder; give stage 2's, or --warm")


def train(encoder: Encoder, sources: list[Packed], options: argparse.Namespace) -> None:
    """So many steps; prints the accuracy on the tasks' other items."""
    collate = modalities.get(options.modality).collate
    rest, numbers = {}, {}
    for source in sources:
        rest[source.source], numbers[source.source] = still(encoder, source, collate)
    if isinstance(encoder.moments, Road):
        encoder.moments.fit(*torch.stack([read.mean(0) for read in numbers.values()]).mean(0))  # every source alike
    if options.principal:
        means = torch.cat([read[:, 0] for read in numbers.values()])
        principal(encoder, torch.cat(list(rest.values())), means)
        return
    tasks = {s.source: made_tasks(s.labels) for s in sources if SOURCES[s.source].task == "episodes"}
    by_class: dict[str, dict[str, list[int]]] = {s.source: defaultdict(list) for s in sources if s.source not in tasks}
    for source in sources:
        for row, label in enumerate(source.labels if source.source in by_class else ()):
            by_class[source.source][label].append(row)
    random, ridge = torch.Generator().manual_seed(options.seed), Ridge()
    optimiser = torch.optim.AdamW(
        [{"params": list(encoder.moments.parameters()), "base": options.lr, "weight_decay": 0.01},
         {"params": list(ridge.parameters()), "base": 10 * options.lr, "weight_decay": 0.0}], lr=options.lr
    )  # fmt: skip

    def whole(count: int) -> int:
        return int(torch.randint(count, (), generator=random))

    def road(source: Packed, picks: list[int]) -> Tensor:
        read = numbers[source.source]
        if read is not None:
            return encoder.moments(read[picks, 0])
        return masked_mean(*encoder.road(**collate(full([source.samples[i] for i in picks]))))

    right = 0.0
    for step in range(1, options.steps + 1):
        labelled = not tasks or (bool(by_class) and float(torch.rand((), generator=random)) < options.labelled)
        chosen = [s for s in sources if s.source in (by_class if labelled else tasks)]
        source = chosen[whole(len(chosen))]
        if labelled:
            classes = list(by_class[source.source].values())
            classes = [classes[k] for k in torch.randperm(len(classes), generator=random)[:CLASSES]]
            rows = [[c[whole(len(c))] for _ in range(ITEMS)] for c in classes]
        else:
            rows = tasks[source.source][whole(len(tasks[source.source]))]
        shots = SHOTS[whole(len(SHOTS))]
        rows = [[c[i] for i in torch.randperm(len(c), generator=random)] for c in rows]
        picks = [i for c in rows for i in c[:shots]] + [i for c in rows for i in c[shots:]]
        halves = [[k for k, c in enumerate(rows) for _ in c[part]] for part in (slice(shots), slice(shots, None))]
        labels = torch.tensor(halves[0] + halves[1])
        vectors = road(source, picks)
        if float(torch.rand((), generator=random)) >= options.alone:
            vectors = vectors + rest[source.source][picks]
        known = len(rows) * shots
        scores = ridge(vectors[:known], labels[:known], vectors[known:])
        loss = F.cross_entropy(scores, labels[known:])
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate(step / options.steps)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.moments.parameters(), 1.0)
        optimiser.step()
        right += float((scores.argmax(1) == labels[known:]).float().mean())
        if step % LOG_EVERY == 0:
            print(f"{options.modality} moments step {step} accuracy {right / LOG_EVERY:.3f}", flush=True)
            right = 0.0


def main() -> None:
    """Pack what is not packed, put moments on stage 2's encoder where it has none, train them, write it anew; once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default="runs/base", type=Path, help="with stage 2's encoders/ and packed/")
    parser.add_argument("--modality", default="multispectral")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--labelled", type=float, default=0.3, help="share of tasks from labelled sources")
    parser.add_argument("--alone", type=float, default=0.0, help="share of steps in which the road has to do alone")
    parser.add_argument("--principal", action="store_true", help="no steps: principal axes of what the road reads")
    parser.add_argument("--kept", action="store_true", help="no steps: the checkpoint's road stays as it is")
    parser.add_argument("--beside", type=float, default=1.0, help="loudness of the transformer beside the road")
    parser.add_argument("--warm", type=Path, help="as in stage 2, where the checkpoint had no use for it")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    record = modalities.get(options.modality)
    encoder = record.encoder(**record.config).eval()  # type: ignore[misc]
    path = options.out / "encoders" / f"{options.modality}.safetensors"
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    steps = 1 if options.principal or options.kept else options.steps
    if facts.get("moments", 0) >= steps:
        return
    before = load_file(path)
    state = {key.removeprefix(PREFIX): value for key, value in before.items() if key.startswith(PREFIX)}
    if not options.kept:
        state = {key: value for key, value in state.items() if not key.startswith("moments.")}
    try:
        fill(encoder, state, options.modality, options.warm)
    except ValueError as error:
        parser.error(f"{path} {error}")
    names = [
        name for name, source in SOURCES.items()
        if source.modality == options.modality and source.role in ("train", "both") and source.task != "unlabelled"
    ]  # fmt: skip
    if not options.kept:
        packs = [pack(name, "train", options.data, options.out / "packed", dict(record.input)) for name in names]
        train(encoder, [read(path) for path in packs], options)
    quieten(encoder, options.beside)
    after = {key: value for key, value in before.items() if not key.startswith("optimiser.")}
    after |= {PREFIX + key: value.contiguous() for key, value in encoder.state_dict().items()}
    partial = path.with_suffix(".partial")
    save_file(after, partial, metadata={"facts": json.dumps({**facts, "moments": steps})})
    os.replace(partial, path)


if __name__ == "__main__":
    main()
