"""Fine-tuning, written out: ``accelerate launch -m allspark.finetune --data x.csv --task classify --out runs/mine``.

The parts stand in ``allspark/tuning``; this file is the order in which they act.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader

from . import atomic
from .adapters import card
from .tuning import checkpoints
from .tuning.blame import blame
from .tuning.consistency import VIEWS, disagreement
from .tuning.data import Batches
from .tuning.dryrun import report
from .tuning.journal import Journal
from .tuning.measuring import forward, measure
from .tuning.options import Options, parse
from .tuning.record import recipe, resume
from .tuning.sampling import Plan, Step
from .tuning.schedule import Average, groups, rate, set_rate
from .tuning.setup import Prepared, prepare
from .tuning.sharding import shard
from .tuning.trainables import learning_mode


def start(options: Options) -> Accelerator:
    """Accelerate's view of the machine; ranks that would train without knowing of each other are refused."""
    cpu = not torch.cuda.is_available()
    precision = options.precision
    if precision == "auto":
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported() if cpu else torch.cuda.is_bf16_supported()
        precision = "bf16" if fast else "no"
    AcceleratorState._reset_state()  # an earlier run of this process may have had another precision
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision=precision,
        gradient_accumulation_steps=options.accumulate,
        log_with=options.tracker or None,
        project_dir=options.out,
    )
    wanted = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != wanted:
        raise RuntimeError(
            f"{wanted} processes were started but only {accelerator.num_processes} see each other; launch with "
            "accelerate launch --multi_gpu --num_processes N (also on CPU)"
        )
    return accelerator


def batches(prepared: Prepared, plan: Plan, options: Options, first: int, count: int) -> Iterator[tuple]:
    """``count`` training batches from number ``first`` on, epoch after epoch."""
    number = first
    while number < first + count:
        epoch, begin = divmod(number, len(plan))
        steps = plan.epoch(epoch)[begin : begin + first + count - number]
        seed = None if options.augment == "none" else options.seed
        views = VIEWS if options.consistency else 1
        data = Batches(prepared.examples, steps, seed, turn=not options.heading, first=number, views=views)
        # a generator of its own: the loader must not move the random state that dropout draws from
        own = torch.Generator().manual_seed(options.seed)
        yield from DataLoader(data, batch_size=None, num_workers=options.workers, generator=own)
        number += len(steps)


def run(options: Options) -> dict[str, Any]:
    """Fine-tune; the results are also in ``results.json``.

    Raises:
        OSError: model, manifest or files cannot be read, or a checkpoint cannot be written.
        ValueError: options or data from which nothing can be learnt.
        FloatingPointError: the loss is no number; the items are named.
    """
    accelerator = start(options)
    rank, world, device = accelerator.process_index, accelerator.num_processes, accelerator.device
    gather = gather_object if world > 1 else None
    prepared = prepare(options, rank=rank, world=world, gather=gather)
    wrapped, task, parts = prepared.wrapped, prepared.task, prepared.parts
    plan = Plan(
        [prepared.examples.facts[i].modalities for i in parts["train"]], options.batch, world=world, rank=rank,
        seed=options.seed, dropout=options.modality_dropout, weights=prepared.shares, rows=parts["train"],
    )  # fmt: skip
    total = options.steps or max(1, math.ceil(options.epochs * len(plan) / options.accumulate))
    measure_every = options.eval_every or max(1, math.ceil(len(plan) / options.accumulate))
    save_every = options.save_every or measure_every
    out = Path(options.out)

    facts: dict[str, Any] = {"step": 0, "best": None, "best_step": 0, "waited": 0, "arguments": asdict(options),
                             "data": prepared.data_hash}  # fmt: skip
    restored: dict[str, Tensor] = {}
    if not options.dry_run:
        facts, restored = resume(out, options, prepared, facts)
    model: nn.Module = wrapped.to(device)
    sharded = options.shard and world > 1
    if sharded:
        shard(wrapped, accelerator)
    optimiser: Any = torch.optim.AdamW(
        groups(wrapped, options.lr, options.encoder_lr, options.weight_decay), lr=options.lr, betas=(0.9, 0.98),
        fused=not sharded,  # on a CPU three times faster than one tensor after the other
    )  # fmt: skip
    optimiser = accelerator.prepare(optimiser)
    model = wrapped if sharded else accelerator.prepare(model)
    trained = [p for p in wrapped.parameters() if p.requires_grad]
    average = Average(trained, options.average)
    head = None if prepared.head is None else prepared.spark.model.heads[task.name]
    weight = None if prepared.weight is None else prepared.weight.to(device)

    def learn(collated: Any, targets: Any, step: Step) -> Tensor:
        """One forward and backward pass; the mean loss over all ranks' examples."""
        with accelerator.accumulate(model):
            loss, count, output, _ = forward(model, task, head, collated, targets, device, weight)
            everywhere = accelerator.reduce(torch.stack([loss.detach(), count]), "sum")
            labelled = everywhere[1].clamp_min(1e-12)  # a step may have drawn items without a label alone
            mean = everywhere[0] / labelled
            if not bool(torch.isfinite(everywhere[0])):
                blame(prepared, step, wrapped, device, facts["step"], gather)
            scaled = loss * world / labelled  # DDP takes the mean over ranks
            if options.consistency:
                scaled = scaled + options.consistency * disagreement(output.logits.float())
            if plan.mixed and not sharded:  # parts of other modalities get a gradient of zero, on every rank alike
                scaled = scaled + sum((p * 0.0).sum() for p in trained)
            accelerator.backward(scaled)
            for p in trained if plan.mixed and sharded else ():
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(trained, options.clip)
            optimiser.step()
            optimiser.zero_grad()
        return mean

    if options.dry_run:
        learning_mode(wrapped)
        stream = batches(prepared, plan, options, 0, 3)
        found = report(prepared, options, total, (lambda: learn(*next(stream))), device, world)
        accelerator.print(found.text)
        return found.values

    if restored:
        checkpoints.set_optimiser_state(optimiser.optimizer, restored)
        for i, tensor in enumerate(average.tensors):
            tensor.copy_(checkpoints.like(tensor, restored[f"average.{i}"]))
        if len(facts["random"]) == world:
            checkpoints.set_random_state(facts["random"][rank])
    else:
        torch.manual_seed(options.seed + rank)
    accelerator.init_trackers("allspark", config={k: str(v) for k, v in asdict(options).items()})
    journal = Journal(out, total, facts["step"], accelerator, accelerator.is_main_process)
    for words in prepared.warnings:
        journal.say(f"warning: {words}")
    words = card(options.model, {task.name: prepared.head} if prepared.head else {}, options.inputs())
    size = {"batch": options.batch, "device": device, "rank": rank, "world": world}

    def keep(best: bool, checkpoint: bool) -> None:
        """Write the best weights, a checkpoint, or both."""
        if best:
            with average.applied():
                state = checkpoints.adapter_state(wrapped)
            if accelerator.is_main_process:
                checkpoints.write_adapter(out, wrapped, state, words)
        if checkpoint:
            state, moments = checkpoints.adapter_state(wrapped), checkpoints.optimiser_state(optimiser.optimizer)
            means = {f"average.{i}": checkpoints.whole(t).cpu() for i, t in enumerate(average.tensors)}
            states = [checkpoints.random_state()]
            facts["random"] = gather_object(states) if world > 1 else states
            if accelerator.is_main_process:
                checkpoints.save(out, facts["step"], wrapped, state, {**moments, **means}, facts, words)
        accelerator.wait_for_everyone()

    if accelerator.is_main_process:
        atomic.write(out / "recipe.json", recipe(options, prepared, world))
    learning_mode(wrapped)
    began, seen = time.perf_counter(), 0
    stream = batches(prepared, plan, options, facts["step"] * options.accumulate,
                     (total - facts["step"]) * options.accumulate)  # fmt: skip
    stopped = False
    while facts["step"] < total and not stopped:
        set_rate(optimiser.optimizer, rate(facts["step"], total, options.warmup))
        losses = []
        for _ in range(options.accumulate):
            collated, targets, step = next(stream)
            losses.append(learn(collated, targets, step))
            seen += len(step.rows) * world
        facts["step"] += 1
        average.update(facts["step"])
        loss = float(torch.stack(losses).mean())
        journal.step(facts["step"], loss)
        last, measured = facts["step"] == total, {}
        improved = False
        if facts["step"] % measure_every == 0 or last:
            if "val" in parts:
                with average.applied():
                    measured = measure(wrapped, task, prepared.examples, parts["val"], **size)
                # where the metric cannot tell two weights apart, as on few examples, the loss does
                now = [measured[prepared.choose] * (1 if prepared.higher else -1), -measured["loss"]]
                improved = facts["best"] is None or now > facts["best"]
                facts["waited"] = 0 if improved else facts["waited"] + 1
                stopped = bool(options.patience) and facts["waited"] >= options.patience
                if improved:
                    facts["best"], facts["best_step"] = now, facts["step"]
                learning_mode(wrapped)
            else:
                improved, facts["best_step"] = last, facts["step"]
            journal.note(facts["step"], {"loss": loss, "lr": optimiser.param_groups[0]["lr"],
                                         **{f"val_{k}": v for k, v in measured.items()}})  # fmt: skip
        keep(improved, facts["step"] % save_every == 0 or last or stopped)
    seconds = time.perf_counter() - began
    results = finish(
        options, prepared, facts, size, {"seconds": seconds, "examples_per_second": seen / max(seconds, 1e-9)}
    )
    if accelerator.is_main_process:
        atomic.write(out / "results.json", json.dumps(results, indent=2) + "\n")
    journal.close()
    accelerator.end_training()
    return results


def finish(
    options: Options, prepared: Prepared, facts: dict[str, Any], size: dict[str, Any], timing: dict[str, float]
) -> dict[str, Any]:
    """The best weights, read back from disk, measured on val and, once, on test."""
    wrapped, task, parts = prepared.wrapped, prepared.task, prepared.parts
    results: dict[str, Any] = {
        "task": task.name, "seed": options.seed, "steps": facts["step"], "best_step": facts["best_step"],
        "trainable": sum(p.numel() for p in wrapped.parameters() if p.requires_grad), **timing,
    }  # fmt: skip
    from safetensors.torch import load_file

    checkpoints.set_adapter_state(wrapped, load_file(Path(options.out) / checkpoints.WEIGHTS))
    for part in ("val", "test"):
        if part in parts:
            results[part] = measure(wrapped, task, prepared.examples, parts[part], **size)
            alone = {name for i in parts[part] for name in prepared.examples.facts[i].modalities}
            if len(prepared.modalities) > 1:
                results[f"{part}_by_modality"] = {
                    name: measure(wrapped, task, prepared.examples, parts[part], only=name, **size)
                    for name in sorted(alone)
                }
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; what is wrong with data or options ends it with one sentence."""
    options = parse(arguments)
    try:
        run(options)
    except (OSError, ValueError, FloatingPointError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
