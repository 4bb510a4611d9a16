"""Stage 5: one model of all parts, a temperature per modality from held-back groups, and the folder that ships.

python recipes/allspark-base/finish.py --data DIR --out runs/base --weights allspark/weights/allspark-base
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from packed import every_training_source, full, pack, read, training_sources
from safetensors.torch import load_file, save_file
from siblings import Parts
from torch import Tensor

import allspark
from allspark import AllSpark, atomic
from allspark.evaluate.sources import SOURCES
from allspark.vectors import item_vectors

VAL_PER_CLASS = 40
VOCABULARY_TABLES = ("language.model.embed_tokens.weight", "language.lm_head.weight")
GRID = torch.logspace(-2.3, 0, 47)  # temperatures tried, 0.005 to 1


def assemble(out: Path, *, words: bool = False, seed: int = 0) -> AllSpark:
    """The language model of stage 1 (with ``words`` that of stage 4), or the sibling's, with encoders and bridges.

    Raises:
        FileNotFoundError: a modality that has an encoder was not trained.
    """
    chosen = Parts.read(out)
    spark = chosen.build(chosen.names, out / "language", seed)
    for name in spark.model.encoded:
        path = out / "bridges" / f"{name}.safetensors"
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there; run bridge_stage.py --only {name} first")
        state = load_file(path)
        encoder = load_file(out / "encoders" / f"{name}.safetensors")
        state |= {k: v for k, v in encoder.items() if k.startswith("model.encoder.")}
        parts = {
            "encoder": spark.model.encoders[name],
            "bridge": spark.model.bridges[name],
            "prompt": spark.model.prompts.vectors[name],
        }
        for part, module in parts.items():
            prefix = f"model.{part}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    if words and not chosen.language:
        state = load_file(out / "words.safetensors")
        prefix = "model.language."
        spark.model.language.load_state_dict(
            {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        )
    return spark


def temperature(cosines: list[tuple[Tensor, Tensor]]) -> float:
    """The temperature of least negative log-likelihood over (cosines (N, K), targets (N,)) of several sources."""
    losses = torch.stack(
        [sum(F.cross_entropy(c / t, y) for c, y in cosines) / len(cosines) for t in GRID]  # type: ignore[misc]
    )
    return float(GRID[losses.argmin()])


def calibrate(spark: AllSpark, data: Path, out: Path, only: Collection[str] = ()) -> dict[str, float]:
    """A temperature per modality (of ``only``, where some are named), on the groups that training left out ("val")."""
    cosines: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    for name in training_sources():
        source = SOURCES[name]
        if source.modality not in (only or spark.model.encoded) or not any(source.labels.values()):
            continue
        settings = spark.processor.inputs[source.modality]
        packed = read(pack(name, "val", data, out / "packed", settings, VAL_PER_CLASS))
        classes = sorted(set(packed.labels))
        if len(classes) < 2:
            continue
        text = spark.text([source.labels[label][0] for label in classes])
        rows = []
        with torch.inference_mode():
            for i in range(0, len(packed.samples), 32):
                samples = [{source.modality: s} for s in full(packed.samples[i : i + 32])]
                rows.append(item_vectors(spark.model, spark.processor, samples, "language"))
        target = torch.tensor([classes.index(label) for label in packed.labels])
        scores = torch.cat(rows) @ text.T
        accuracy = float((scores.argmax(1) == target).float().mean())
        print(f"{name}: zero-shot on val {accuracy:.3f} over {len(classes)} classes, {len(target)} items", flush=True)
        cosines[source.modality].append((scores, target))
    return {modality: round(temperature(pairs), 4) for modality, pairs in cosines.items()}


def loudest(head: Tensor, norm: Tensor) -> float:
    """The factor that brings a head's rows into float8's range; the final norm before it is divided by the same.

    No text vector changes (they are normalised) and no logit.
    """
    factor = float(1.0 / head.float().std())
    head.mul_(factor)
    norm.div_(factor)
    return factor


def shrink(path: Path) -> None:
    """The two tables of the vocabulary in float8 (e4m3), everything else as it is: 12 MB less to ship."""
    state = load_file(path)
    for name in VOCABULARY_TABLES:
        if name in state:
            state[name] = state[name].to(torch.float8_e4m3fn)
    save_file(state, path, metadata={"format": "pt"})


def write_processor(spark: AllSpark, folder: Path) -> None:
    """The processor's files; the tokenizer's without the blanks that make half of it."""
    spark.processor.save_pretrained(folder)
    path = folder / "tokenizer.json"
    said = json.loads(path.read_text(encoding="utf-8"))
    atomic.write(path, json.dumps(said, ensure_ascii=False, separators=(",", ":")))


def temperatures_of(weights: Path) -> dict[str, float]:
    """What an earlier run found; read from its file, for its encoders may be of another shape."""
    said = json.loads((weights / "processor_config.json").read_text(encoding="utf-8"))
    return dict(said["temperatures"])


def main() -> None:
    """Assemble, calibrate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default="runs/base", type=Path)
    parser.add_argument("--weights", default="allspark/weights/allspark-base", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="modalities that changed: only these are calibrated anew")
    options = parser.parse_args()
    kept = temperatures_of(options.weights) if options.only else {}
    spark = assemble(options.out, words=True)
    used = [name for name in every_training_source() if SOURCES[name].modality in spark.model.encoded]
    spark.config.licences = {name: SOURCES[name].licence for name in used}
    own = not Parts.read(options.out).language  # another language model ships as it came
    if own and not spark.config.text_config.tie_word_embeddings:
        with torch.no_grad():
            loudest(spark.model.language.lm_head.weight, spark.model.language.model.norm.weight)
    spark.model.to(torch.bfloat16)
    partial = options.weights.with_name(options.weights.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    spark.save(partial)
    words = [name for s in SOURCES.values() for names in s.labels.values() for name in names[:1]]
    before = spark.text(words).float()
    if own:
        shrink(partial / "model.safetensors")
    shipped = allspark.load(partial)
    after = shipped.text(words)
    cosine = (before * after).sum(-1)
    print(f"text vectors as shipped: cosine {cosine.mean():.4f} to those before, {cosine.min():.4f} at worst")
    shipped.processor.temperatures = {**kept, **calibrate(shipped, options.data, options.out, options.only)}
    write_processor(shipped, partial)
    if own:
        shutil.copy(options.out / "language" / "tokenizer.model", partial / "tokenizer.model")
    recipe: dict[str, Any] = {"sources": used, "seed": 0, "torch": torch.__version__}
    (partial / "recipe.json").write_text(json.dumps(recipe, indent=1), encoding="utf-8")
    if (options.weights / "README.md").is_file():
        shutil.copy(options.weights / "README.md", partial / "README.md")
    shutil.rmtree(options.weights, ignore_errors=True)
    partial.rename(options.weights)
    size = sum(f.stat().st_size for f in options.weights.iterdir()) / 2**20
    print(f"{options.weights}: {size:.1f} MiB, temperatures {shipped.processor.temperatures}")


if __name__ == "__main__":
    main()
