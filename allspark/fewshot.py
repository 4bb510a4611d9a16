"""A classifier from a few labelled examples: no training run, one linear map, a temperature, two small files.

The methods are in ``fewshot_methods.py``; here is what a user holds: ``fit``, ``predict``, ``save``, ``load``.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from . import atomic
from .fewshot_methods import METHODS, calibrate, candidates, choose, normalise
from .readers import UnreadableFileError

VERSION = 1
FOLDER_STEM = "few_shot"  # the files' name where save() is given a folder
TEXT_SHARES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)  # the text scores' weight beside the examples' scores


@dataclass(frozen=True, eq=False)
class FewShot:
    """K classes learned from labelled feature vectors. Make one with `FewShot.fit`.

    Attributes:
        labels: the K class names; columns of ``predict`` stand in this order.
        method: the method that was used ("auto" has been decided).
        at: where the features come from: "encoder", "bridge" or "language".
        temperature: what scores are divided by before the softmax.
        tensors: "shift" (D,), "weights" (K, D), "bias" (K,) and, with text, "text" (K, D); float32 on the CPU.
        modality: whose features these are, or None.

    Example:
        >>> features = torch.tensor([[1.0, 0.1], [0.9, 0.0], [0.0, 1.0], [0.1, 0.9]])
        >>> model = FewShot.fit(features, ["maize", "maize", "wheat", "wheat"])
        >>> model.classify(torch.tensor([[2.0, 0.3]]))
        ['maize']
    """

    labels: tuple[str, ...]
    method: str
    at: str
    temperature: float
    tensors: Mapping[str, Tensor]
    modality: str | None = None

    @classmethod
    def fit(
        cls,
        features: Tensor,
        labels: Sequence[str],
        *,
        method: str = "auto",
        at: str = "language",
        modality: str | None = None,
        text: Tensor | None = None,
        classes: Sequence[str] | None = None,
    ) -> FewShot:
        """Learn from N labelled vectors.

        Args:
            features: (N, D).
            labels: N class names.
            method: "centres", "centred", "power", "ridge", "logistic", or "auto": "centred" for one example per class,
                else the one of least leave-one-out loss, "ridge" where none is a tenth better (logistic regression
                takes part from ten examples per class).
            at: where the features come from.
            modality: whose features these are.
            text: (K, D) text vectors of the classes in the same space: their cosines are added to the examples' scores
                (as in Tip-Adapter, Zhang et al. 2022), with the weight of least held-out loss; equal for one shot.
            classes: the K names in the order wanted; by default the order in which they first appear in ``labels``.

        Raises:
            ValueError: fewer than two classes, a class without examples, features that are not finite or of another
                shape, an unknown method.
        """
        features = _checked(features, None)
        if len(labels) != len(features):
            raise ValueError(f"{len(labels)} labels came for {len(features)} feature vectors; give one label for each")
        names = tuple(dict.fromkeys(str(label) for label in (labels if classes is None else classes)))
        rows: dict[str, list[int]] = {name: [] for name in names}
        for row, label in enumerate(labels):
            if str(label) not in rows:
                raise ValueError(f"label {str(label)!r} is not among the classes {', '.join(names)}; add or drop it")
            rows[str(label)].append(row)
        if len(names) < 2:
            raise ValueError(f"{len(names)} class came ({', '.join(names)}); wanted examples of at least two classes")
        empty = [name for name in names if not rows[name]]
        if empty:
            raise ValueError(f"no example came for {', '.join(empty)}; give each class at least one")
        if method != "auto" and method not in METHODS:
            raise ValueError(f"method is {method!r}; wanted auto, {', '.join(METHODS)}")

        counts = [len(rows[name]) for name in names]
        support = features.new_zeros(1, len(names), max(counts), features.shape[1])
        mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
        for k, name in enumerate(names):
            support[0, k, : counts[k]] = features[rows[name]]
        tried = [method] if method != "auto" else candidates(counts)
        solutions = [METHODS[name].solve(METHODS[name].lift(support), mask[None]) for name in tried]
        calibrations = [
            calibrate(solution.held_out, solution.usable, METHODS[name].temperature)
            for name, solution in zip(tried, solutions, strict=True)
        ]
        index = int(choose(calibrations))
        chosen, solution = tried[index], solutions[index]
        temperature = float(calibrations[index].temperature)
        tensors = {"shift": solution.shift[0], "weights": solution.weights[0], "bias": solution.bias[0]}
        if text is not None:
            vectors = _text(text, len(names), features.shape[1])
            known = _text_scores(support.reshape(1, -1, features.shape[1]), vectors)
            unit = METHODS[chosen].temperature / METHODS["centred"].temperature  # cosines, on the method's own scale
            mixed = [
                calibrate(solution.held_out + share * unit * known, solution.usable, METHODS[chosen].temperature)
                for share in TEXT_SHARES
            ]
            best = int(choose(mixed)) if bool(solution.usable.any()) else TEXT_SHARES.index(1.0)
            temperature = float(mixed[best].temperature)
            tensors["text"] = vectors * TEXT_SHARES[best] * unit
        tensors = {name: value.float().contiguous() for name, value in tensors.items()}
        return cls(names, chosen, at, temperature, tensors, modality)

    def predict(self, features: Tensor) -> Tensor:
        """(N, D) -> (N, K) probabilities; ValueError for another D or values that are not finite."""
        features = _checked(features, self.tensors["weights"].shape[1])
        parts = (self.tensors[name] for name in ("shift", "weights", "bias"))
        scores = METHODS[self.method].scores(features, *parts)
        if "text" in self.tensors:
            scores = scores + _text_scores(features, self.tensors["text"].double())
        return (scores / self.temperature).softmax(-1).float()

    def classify(self, features: Tensor) -> list[str]:
        """(N, D) -> the most probable label of each."""
        return [self.labels[k] for k in self.predict(features).argmax(-1).tolist()]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``path``.safetensors and ``path``.json; into a folder, where ``path`` is one, as ``few_shot``."""
        stem = _stem(path)
        content = tensor_bytes(dict(self.tensors))
        record = {
            "format": "allspark few-shot",
            "version": VERSION,
            "labels": list(self.labels),
            "method": self.method,
            "at": self.at,
            "modality": self.modality,
            "temperature": self.temperature,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        atomic.write(f"{stem}.safetensors", content)
        atomic.write(f"{stem}.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FewShot:
        """Read what `save` wrote; ``path`` is what was given to it, or either of the two files.

        Raises:
            FileNotFoundError: one of the two files is not there.
            UnreadableFileError: they are damaged, do not belong together, or were written by a newer version.
        """
        stem = _stem(path)
        content = {}
        for suffix in ("json", "safetensors"):
            file = Path(f"{stem}.{suffix}")
            if not file.is_file():
                raise FileNotFoundError(f"{file} is not there; a few-shot classifier is a .json and a .safetensors")
            content[suffix] = file.read_bytes()
        try:
            record = json.loads(content["json"])
            version = record["version"]
            if isinstance(version, int) and version > VERSION:
                raise UnreadableFileError(
                    f"{stem}.json has version {version}, this allspark reads up to {VERSION}; update allspark"
                )
            if record["sha256"] != hashlib.sha256(content["safetensors"]).hexdigest():
                raise ValueError("the two files do not belong together, or the tensors are damaged")
            tensors = read_tensors(content["safetensors"])
            labels, temperature = tuple(map(str, record["labels"])), float(record["temperature"])
            shape = (len(labels), tensors["shift"].shape[0])
            fits = tensors["weights"].shape == shape and tensors["bias"].shape == shape[:1] and len(labels) > 1
            if not fits or record["method"] not in METHODS or not (math.isfinite(temperature) and temperature > 0):
                raise ValueError("labels, method, temperature and tensors do not fit together")
            return cls(labels, record["method"], record["at"], temperature, tensors, record["modality"])
        except UnreadableFileError:
            raise
        except (ValueError, KeyError, TypeError, IndexError, SafetensorError) as error:
            why = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise UnreadableFileError(
                f"{stem}.json and .safetensors are not a readable few-shot classifier ({why}); save it again"
            ) from error


def _stem(path: str | os.PathLike[str]) -> Path:
    place = Path(path)
    if place.is_dir():
        return place / FOLDER_STEM
    return place.with_suffix("") if place.suffix in (".json", ".safetensors") else place


def _checked(features: Tensor, width: int | None) -> Tensor:
    features = torch.as_tensor(features).detach().to("cpu", torch.float32)
    if features.ndim != 2 or (width is not None and features.shape[1] != width):
        wanted = "(N, D)" if width is None else f"(N, {width}), as in the examples"
        raise ValueError(f"features have shape {tuple(features.shape)}; wanted {wanted}")
    bad = int((~features.isfinite()).any(-1).sum())
    if bad:
        raise ValueError(f"{bad} of {len(features)} feature vectors hold NaN or infinity; drop these items first")
    return features


def _text(text: Tensor, classes: int, width: int) -> Tensor:
    vectors = torch.as_tensor(text).detach().to("cpu", torch.float64)
    if vectors.shape != (classes, width) or not bool(vectors.isfinite().all()):
        raise ValueError(f"text has shape {tuple(vectors.shape)}; wanted {classes} finite vectors of width {width}")
    return normalise(normalise(vectors) - normalise(vectors).mean(0))  # what all class names share says nothing


def _text_scores(features: Tensor, vectors: Tensor) -> Tensor:
    return normalise(features.double()) @ vectors.T
