"""Items and tokens a second, forward and forward + backward, of every part of a model; and the floating-point work.

    python benchmarks/throughput.py [--model allspark-base] [--device cuda] [--seconds 5]

Work is counted by PyTorch (matrix products and convolutions, a multiply-add as two; learning as three times reading,
because it counts the backward pass of grouped convolutions as if they were not grouped), so the rate in TFLOP/s over
the device's own peak is its utilisation; docs/scale-up.md reckons other machines from it. bf16 autocast.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from quick import machine
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import allspark
from allspark.running import to_device
from allspark.testing import made

TEXT_TOKENS = 256  # of a sequence of the language model


def rate(step: Callable[[], Any], seconds: float, device: torch.device) -> float:
    """Calls a second, after one that is not counted."""
    step()
    count, start = 0, time.perf_counter()
    while (now := time.perf_counter() - start) < seconds or not count:
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        count += 1
    return count / now


def work(step: Callable[[], Any]) -> int:
    """Floating-point operations of one call."""
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())


def measure(forward: Callable[[], Tensor], items: int, tokens: int, seconds: float, device: torch.device) -> dict:
    """One part: rates of reading and of learning, and the work that both take."""

    def read() -> None:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            forward()

    def learn() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = forward().float().square().mean()
        loss.backward()

    reading, learning, cost = rate(read, seconds, device), rate(learn, seconds, device), 3 * work(read)
    return {
        "items": items, "tokens an item": tokens // items, "read items/s": items * reading,
        "learn items/s": items * learning, "learn tokens/s": tokens * learning,
        "learn GFLOP an item": cost / items / 1e9, "TFLOP/s": cost * learning / 1e12,
    }  # fmt: skip


def main() -> None:
    """Print a line for each part, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="allspark-base")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    spark = allspark.load(options.model, device=device)
    model = spark.model.train()
    found: dict[str, dict[str, Any]] = {}
    ids = torch.randint(model.config.text_config.vocab_size, (options.batch, TEXT_TOKENS), device=device)
    found["language model"] = measure(
        lambda: model.language(input_ids=ids).logits, options.batch, ids.numel(), options.seconds, device
    )
    for name in model.encoded:
        items = made(name, options.batch)[0]
        samples = [spark.processor.prepare({name: item}) for item in items]
        batch = to_device(spark.processor.collate(samples), device)
        with torch.no_grad():
            tokens = model.encode(name, batch["inputs"][name])
        count = int(tokens.mask.sum()) if tokens.mask is not None else tokens.features.shape[:2].numel()
        found[f"{name} encoder"] = measure(
            lambda: model.encode(name, batch["inputs"][name]).features,  # noqa: B023  called at once
            len(items), count, options.seconds, device,
        )  # fmt: skip
    if options.json:
        print(json.dumps({"machine": machine(), "parts": found}, indent=1))
        return
    print(f"{machine()}, {device}, {torch.get_num_threads()} threads, batch {options.batch}, bf16")
    columns = list(next(iter(found.values())))[1:]
    print("| part | " + " | ".join(columns) + " |\n|---|" + "---:|" * len(columns))
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(f"{row[column]:.3g}" for column in columns) + " |")


if __name__ == "__main__":
    main()
