"""Few-shot accuracy of an encoder on training classes that it was trained without: what settings are chosen by.

Test sets play no part: the classes are of the training part, left out of one short training by ``--without``.

    python recipes/allspark-base/encoder_stage.py … --only rgb --minutes 5 --without Desert Park … --out runs/ablation/a
    python recipes/allspark-base/ablate.py --packed runs/base/packed/aid.train.safetensors --out runs/ablation/a \\
        --classes Desert Park … [--size 160]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from packed import full, read
from safetensors.torch import load_file
from torch import Tensor
from training import autocast, load_encoder

import allspark
from allspark import modality as modalities
from allspark.bridges import masked_mean
from allspark.encoders.base import Tokens
from allspark.evaluate.episodes import run_episodes

MOST = 100  # items of a class


def part(modality: str, options: argparse.Namespace) -> tuple[Any, Callable[[Tokens], Tensor]]:
    """The encoder, and what makes a vector of its tokens: their mean, or bridge and language model."""
    place = options.out / "encoders" / f"{modality}.safetensors"
    if options.language is None:
        record = modalities.get(modality)
        encoder = record.encoder(**record.config)  # type: ignore[misc]
        load_encoder(encoder, place)
        return encoder.eval(), lambda tokens: masked_mean(tokens.features, tokens.mask)
    spark = allspark.build("allspark-base", language=options.language, modality=[modality])
    load_encoder(spark.model.encoders[modality], place)
    state = load_file(options.out / "bridges" / f"{modality}.safetensors")
    for name, module in (("bridge", spark.model.bridges[modality]), ("prompt", spark.model.prompts.vectors[modality])):
        module.load_state_dict(
            {k.removeprefix(f"model.{name}."): v for k, v in state.items() if k.startswith(f"model.{name}.")}
        )

    def read_out(tokens: Tokens) -> Tensor:
        batch = spark.processor.sequences([{modality: {}}] * len(tokens.features))
        return spark.model(**batch, inputs={modality: tokens}).pooled

    return spark.model.encoders[modality], read_out


def main() -> None:
    """Print 1- and 5-shot accuracy, 600 episodes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--classes", nargs="+", required=True)
    parser.add_argument("--language", type=Path, help="the folder of stage 1: measure behind the bridge of stage 3")
    parser.add_argument("--size", type=int, help="pixels a side, where it is to differ from the packed ones")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    source = read(options.packed)
    rows = [i for c in options.classes for i in [k for k, y in enumerate(source.labels) if y == c][:MOST]]
    record = modalities.get(source.modality)
    encoder, read_out = part(source.modality, options)
    pooled = []
    with torch.inference_mode(), autocast():
        for i in range(0, len(rows), 50):
            batch = record.collate(full([source.samples[k] for k in rows[i : i + 50]]))
            if options.size:
                size = (options.size, options.size)
                batch["pixels"] = F.interpolate(batch["pixels"], size=size, mode="bilinear", align_corners=False)
                batch["valid"] = F.interpolate(batch["valid"][:, None].float(), size=size)[:, 0] > 0.5
            pooled.append(read_out(encoder(**batch)).float())
    features, labels = torch.cat(pooled).clone(), [source.labels[k] for k in rows]
    for shots in (1, 5):
        result = run_episodes(features, labels, ways=len(options.classes), shots=shots, method="centred")
        print(f"{options.out} {shots}-shot {result.mean:.3f} ± {result.interval:.3f}", flush=True)


if __name__ == "__main__":
    main()
