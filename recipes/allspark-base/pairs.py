"""An ablation: does it pay to pull two sensors' views of one place together in the language space?

Places that several sensors saw at once: crowns of IDTReeS' training plots (pictures, spectra, LiDAR), tiles of
Sentinel-1 and -2 over the same ground (pictures and VH), and one flooded landscape (radar and 13 bands). Bridges and
prompts of a model that ships go on: each batch holds one place per row, seen by two sensors, and each view must find
the other among the batch's (InfoNCE, as CLIP, Radford et al., ICML 2021). What the model said of its labelled training
items is held. Printed before and after, on places and groups that were held back: how often the partner is found among
sixteen, and zero-shot accuracy.

    python recipes/allspark-base/pairs.py --data DIR --out runs/base --weights allspark/weights/allspark-base
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from packed import full, pack, read, training_sources
from torch import Tensor, nn
from training import autocast, rate

import allspark
from allspark import AllSpark
from allspark import modality as modalities
from allspark.encoders.base import Tokens
from allspark.evaluate.sources import SOURCES
from allspark.evaluate.sources.archives import geotiff
from allspark.evaluate.sources.base import split_of
from allspark.evaluate.sources.paired import trees
from allspark.items import Raster
from allspark.modality import pad
from allspark.readers.sensors import SENTINEL2
from allspark.running import to_device

TEMPERATURE = 0.07
CANDIDATES = 16
TILE = 128  # pixels of Sentinel-1 and -2 at 10 m
DECIBELS = (-30.0, 0.0)  # what black and white of the 8-bit VH pictures is taken as: their scaling is not stated
HELD_SCENE = "087"
KEPT = 12  # labelled items of a modality in a step, whose vectors are held


@dataclass
class Views:
    """Places of one set: each modality's tokens, row by row, and which rows are held back."""

    tokens: dict[str, Tokens]
    held: Tensor


def places(data: Path) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """(set, modality -> item, is it held back?) of every place."""
    for entry in trees(data, ("train", "val")):
        yield "tree crowns", entry.record().item, split_of(entry.group, test=0.3, salt="pairs") == "test"
    archive = zipfile.ZipFile(data / "paired/s1s2_aligned_pairs.zip")
    for name in sorted(n for n in archive.namelist() if n.startswith("opt/") and n.endswith(".png")):
        picture, radar = (_png(archive, path) for path in (name, name.replace("opt/", "sar/")))
        low, high = DECIBELS
        for row in range(0, picture.shape[1] - TILE + 1, TILE):
            for column in range(0, picture.shape[2] - TILE + 1, TILE):
                cut = np.s_[:, row : row + TILE, column : column + TILE]
                echo = low + (high - low) * radar[cut][:1].astype(np.float32) / 255
                seen = {
                    "rgb": Raster(picture[cut], units="uint8", bands=("red", "green", "blue")),
                    "sar": Raster(echo, units="db", bands=("VH",)),
                }
                yield "Sentinel-1 and -2", seen, HELD_SCENE in name
    archive = zipfile.ZipFile(data / "paired/sen1floods11_chips.zip")
    radar, optical = (geotiff(archive, f"S{k}/Spain_7370579_S{k}Hand.tif")[0] for k in (1, 2))
    middles = tuple(centre for centre, _ in SENTINEL2.values())
    for row in range(0, 512 - 31, 32):
        for column in range(0, 512 - 31, 32):
            cut = np.s_[:, row : row + 32, column : column + 32]
            if np.isfinite(radar[cut]).all():
                seen = {
                    "sar": Raster(radar[cut].astype(np.float32), units="db", bands=("VV", "VH")),
                    "multispectral": Raster(
                        optical[cut].astype(np.float32) / 10_000, units="reflectance", wavelengths=middles
                    ),
                }
                yield "flood", seen, column >= 320


def _png(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")).transpose(2, 0, 1).copy()


@torch.inference_mode()
def tokens_of(spark: AllSpark, modality: str, samples: list[Any]) -> Tokens:
    """Prepared samples -> their encoder's tokens, padded to the longest."""
    rows = []
    collate = modalities.get(modality).collate
    for i in range(0, len(samples), 32):
        found = spark.model.encode(modality, to_device(collate(samples[i : i + 32]), spark.model.device))
        mask = found.mask if found.mask is not None else torch.ones(found.features.shape[:2], dtype=torch.bool)
        rows += [{"features": f[m].clone()} for f, m in zip(found.features, mask, strict=True)]
    batch = pad(rows)
    return Tokens(batch["features"], batch["mask"])


def pooled(spark: AllSpark, modality: str, tokens: Tokens, rows: Tensor) -> Tensor:
    """(B, H) what the language model makes of these rows, of length one."""
    batch = to_device(spark.processor.sequences([{modality: {}}] * len(rows)), spark.model.device)
    given = Tokens(tokens.features[rows], None if tokens.mask is None else tokens.mask[rows])
    with autocast():
        return F.normalize(spark.model(**batch, inputs={modality: given}).pooled.float(), dim=-1)


@torch.no_grad()
def retrieved(spark: AllSpark, views: Views, first: str, second: str, seed: int = 0) -> tuple[float, int]:
    """How often a held-back view finds its partner among ``CANDIDATES``, both ways; and how many views there are."""
    rows = torch.nonzero(views.held)[:, 0]
    vectors = [pooled(spark, name, views.tokens[name], rows) for name in (first, second)]
    vectors = [F.normalize(v - v.mean(0), dim=-1) for v in vectors]  # what a sensor's views share says nothing
    random, right = torch.Generator().manual_seed(seed), 0.0
    for a, b in (vectors, vectors[::-1]):
        for i in range(len(rows)):
            others = torch.randperm(len(rows), generator=random)
            picks = torch.cat([torch.tensor([i]), others[others != i][: CANDIDATES - 1]])
            right += float((b[picks] @ a[i]).argmax() == 0)
    return right / (2 * len(rows)), len(rows)


@torch.no_grad()
def zero_shot(spark: AllSpark, name: str, data: Path, folder: Path) -> tuple[float, int]:
    """Accuracy of a source's held-back groups over the names of its classes."""
    modality = SOURCES[name].modality
    source = read(pack(name, "val", data, folder, spark.processor.inputs[modality]))
    kinds = sorted({label for label in source.labels if source.names.get(label)})
    rows = [i for i, label in enumerate(source.labels) if label in kinds][:400]
    tokens = tokens_of(spark, modality, full([source.samples[i] for i in rows]))
    vectors = torch.cat([pooled(spark, modality, tokens, part) for part in torch.arange(len(rows)).split(64)])
    text = spark.text([source.names[kind][0] for kind in kinds]).float()
    truth = torch.tensor([kinds.index(source.labels[i]) for i in rows])
    return float(((vectors @ text.T).argmax(1) == truth).float().mean()), len(rows)


def report(spark: AllSpark, sets: dict[str, Views], sources: list[str], options: argparse.Namespace) -> None:
    """Print both figures."""
    for name, views in sets.items():
        for first, second in combinations(views.tokens, 2):
            share, count = retrieved(spark, views, first, second)
            print(f"  {name}: {first} and {second} find each other {share:.3f} of {count}", flush=True)
    for name in sources:
        share, count = zero_shot(spark, name, options.data, options.out / "packed")
        print(f"  {name}: zero-shot {share:.3f} of {count}", flush=True)


def main() -> None:
    """Before, the training, after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default="runs/base", type=Path, help="with packed/")
    parser.add_argument("--weights", default="allspark-base", help="a model that ships; it is not changed")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--keep", type=float, default=20.0, help="weight of what was said of labelled items")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    spark = allspark.load(options.weights)
    spark.model.requires_grad_(False)
    seen: dict[str, list[tuple[dict[str, Any], bool]]] = {}
    for name, item, held in places(options.data):
        samples = {m: modalities.get(m).prepare(one, **spark.processor.inputs[m]) for m, one in item.items()}
        seen.setdefault(name, []).append((samples, held))
    sets = {}
    for name, rows in seen.items():
        tokens = {m: tokens_of(spark, m, [samples[m] for samples, _ in rows]) for m in rows[0][0]}
        sets[name] = Views(tokens, torch.tensor([held for _, held in rows]))
        print(f"{name}: {len(rows)} places of {', '.join(tokens)}, {int(sets[name].held.sum())} held back", flush=True)
    names = sorted({modality for views in sets.values() for modality in views.tokens})
    labelled = {}  # modality -> tokens of labelled training items and what the model says of them
    sources = [n for n in training_sources() if SOURCES[n].modality in names and SOURCES[n].labels]
    sources = [n for n in sources if any(SOURCES[n].labels.values())]
    for modality in names:
        parts = []
        for name in (n for n in sources if SOURCES[n].modality == modality):
            source = read(pack(name, "train", options.data, options.out / "packed", spark.processor.inputs[modality]))
            picks = torch.randperm(len(source.samples), generator=torch.Generator().manual_seed(0))[:150]
            parts += full([source.samples[i] for i in picks])
        tokens = tokens_of(spark, modality, parts)
        with torch.no_grad():
            before = torch.cat([pooled(spark, modality, tokens, p) for p in torch.arange(len(parts)).split(64)])
        labelled[modality] = (tokens, before)
    print("before:", flush=True)
    report(spark, sets, sources, options)
    learnt = nn.ModuleList(part[m] for part in (spark.model.bridges, spark.model.prompts.vectors) for m in names)
    parameters = [p.requires_grad_() for p in learnt.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=options.lr, weight_decay=0.05)
    random = torch.Generator().manual_seed(options.seed)
    pairs = [(views, a, b) for views in sets.values() for a, b in combinations(views.tokens, 2)]
    for step in range(options.steps):
        views, first, second = pairs[int(torch.randint(len(pairs), (), generator=random))]
        rows = torch.nonzero(~views.held)[:, 0]
        rows = rows[torch.randperm(len(rows), generator=random)[: options.batch]]
        one, two = (pooled(spark, name, views.tokens[name], rows) for name in (first, second))
        logits, same = one @ two.T / TEMPERATURE, torch.arange(len(rows))
        loss = (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2
        held = torch.zeros(())
        for modality in (first, second):
            tokens, before = labelled[modality]
            picks = torch.randperm(len(before), generator=random)[:KEPT]
            now = pooled(spark, modality, tokens, picks)
            held = held + (1 - F.cosine_similarity(now, before[picks])).mean() / 2
        for group in optimiser.param_groups:
            group["lr"] = options.lr * rate(step / options.steps)
        optimiser.zero_grad(set_to_none=True)
        (loss + options.keep * held).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1} contrast {loss.item():.3f} held to {1 - held.item():.4f}", flush=True)
    print("after:", flush=True)
    report(spark, sets, sources, options)


if __name__ == "__main__":
    main()
