"""Few-shot accuracy of an encoder on training classes that it was trained without: what settings are chosen by.

Test sets play no part: the classes are of the training part, left out of one short training by ``--without``.

    python recipes/allspark-base/encoder_stage.py … --only rgb --minutes 5 --without Desert Park … --out runs/ablation/a
    python recipes/allspark-base/ablate.py --packed runs/base/packed/aid.train.safetensors --out runs/ablation/a \\
        --classes Desert Park … [--size 160]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from packed import full, read
from safetensors.torch import load_file
from training import autocast

from allspark import modality as modalities
from allspark.bridges import masked_mean
from allspark.evaluate.episodes import run_episodes

MOST = 100  # items of a class


def main() -> None:
    """Print 1- and 5-shot accuracy, 600 episodes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--classes", nargs="+", required=True)
    parser.add_argument("--size", type=int, help="pixels a side, where it is to differ from the packed ones")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    source = read(options.packed)
    rows = [i for c in options.classes for i in [k for k, y in enumerate(source.labels) if y == c][:MOST]]
    record = modalities.get(source.modality)
    encoder = record.encoder(**record.config)  # type: ignore[misc]
    state = load_file(options.out / "encoders" / f"{source.modality}.safetensors")
    prefix = "model.encoder."
    encoder.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    encoder.eval()
    pooled = []
    with torch.inference_mode(), autocast():
        for i in range(0, len(rows), 50):
            batch = record.collate(full([source.samples[k] for k in rows[i : i + 50]]))
            if options.size:
                size = (options.size, options.size)
                batch["pixels"] = F.interpolate(batch["pixels"], size=size, mode="bilinear", align_corners=False)
                batch["valid"] = F.interpolate(batch["valid"][:, None].float(), size=size)[:, 0] > 0.5
            tokens = encoder(**batch)
            pooled.append(masked_mean(tokens.features, tokens.mask).float())
    features, labels = torch.cat(pooled).clone(), [source.labels[k] for k in rows]
    for shots in (1, 5):
        result = run_episodes(features, labels, ways=len(options.classes), shots=shots, method="centred")
        print(f"{options.out} {shots}-shot {result.mean:.3f} ± {result.interval:.3f}", flush=True)


if __name__ == "__main__":
    main()
