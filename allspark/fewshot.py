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
from .fewshot_choice import fit as fit_episodes
from .fewshot_choice import text_scores
from .fewshot_methods import METHODS, candidates
from .fewshot_unlabelled import Examples
from .readers import UnreadableFileError

VERSION = 1
FOLDER_STEM = "few_shot"  # the files' name where save() is given a folder


@dataclass(frozen=True, eq=False)
class FewShot:
    """K classes learned from labelled feature vectors. Make one with `FewShot.fit`.

    Attributes:
        labels: the K class names; columns of ``predict`` stand in this order.
        method: the method that was used ("auto" has been decided).
        at: where the features come from: "encoder", "bridge" or "language".
        temperature: what scores are divided by before the softmax.
        tensors: "shift" (D,), "weights" (K, D), "bias" (K,), "centre" (D,), "sums" (K, D) and "counts" (K,) of the
            examples (``fewshot_unlabelled.py``), "held_out" (M, 2) and, with text, "text" (K, D); float32 on the CPU.
            A row of "held_out" is the best probability that an example got from the classifier fitted without it, and
            whether that was right (1 or 0).
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
        vectors = None if text is None else _text(text, len(names), features.shape[1])[None]
        fitted = fit_episodes(support, mask[None], [method] if method != "auto" else candidates(counts), vectors)
        index = int(fitted.index)
        chosen, solution, temperature = fitted.tried[index], fitted.solutions[index], float(fitted.temperature)
        tensors = {"shift": solution.shift[0], "weights": solution.weights[0], "bias": solution.bias[0]}
        tensors |= fitted.examples.tensors()
        usable = fitted.usable[0]
        owners = torch.arange(len(names)).repeat_interleave(max(counts))[usable]
        sure = (fitted.held_out[0][usable] / temperature).softmax(-1).max(-1)
        tensors["held_out"] = torch.stack([sure.values, (sure.indices == owners).double()], 1)
        if fitted.text is not None:
            tensors["text"] = fitted.text[0]
        tensors = {name: value.float().contiguous() for name, value in tensors.items()}
        return cls(names, chosen, at, temperature, tensors, modality)

    def predict(self, features: Tensor, *, transductive: bool = False) -> Tensor:
        """Probabilities of each class.

        Args:
            features: (N, D).
            transductive: look at all N items at once, as unlabelled items also show where the classes lie
                (``fewshot_unlabelled.py``). What is said of an item then depends on the others. Measured beside
                asking each alone in ``docs/league.md``: better for most kinds of data, worse for some texts and code
                from single examples and where classes lie in no clouds.

        Returns:
            (N, K).

        Raises:
            ValueError: another D, values that are not finite, or ``transductive`` of a classifier that an older version
                saved.
        """
        features = _checked(features, self.tensors["weights"].shape[1])
        scores = METHODS[self.method].scores(features, *(self.tensors[name] for name in ("shift", "weights", "bias")))
        if "text" in self.tensors:
            scores = scores + text_scores(features, self.tensors["text"])
        found = (scores / self.temperature).softmax(-1)
        if transductive and len(features):
            found = Examples.read(self.tensors).refined(features[None], found[None])[0]
        return found.float()

    def threshold(self, coverage: float) -> tuple[float, float]:
        """The probability below which to abstain so that this share of items is answered, and what is right of those.

        Both are measured on the examples, each held back once: they hold for items that are like the examples, and to
        within the few per cent that so few examples can tell.

        Args:
            coverage: the share of items to answer, above 0 and at most 1.

        Returns:
            The threshold (for ``abstain_below``), and the accuracy on the held-back examples that reach it.

        Raises:
            ValueError: a coverage that is no share, or a classifier of single examples, which cannot be held back.
        """
        if not 0 < coverage <= 1:
            raise ValueError(f"coverage is {coverage}; wanted a share above 0 and at most 1")
        held_out = self.tensors.get("held_out", torch.empty(0, 2))
        if not len(held_out):
            raise ValueError("no example was held back; give at least two examples of a class to choose a threshold")
        best = held_out[:, 0].sort(descending=True).values
        least = float(best[math.ceil(coverage * len(best)) - 1])
        return least, float(held_out[held_out[:, 0] >= least, 1].mean())

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error on the held-back examples, 15 bins (Guo et al. 2017); None without any."""
        held_out = self.tensors.get("held_out", torch.empty(0, 2)).double()
        if not len(held_out):
            return None
        place = (held_out[:, 0] * 15).long().clamp_max(14)
        gaps = torch.zeros(15, dtype=torch.float64).index_add_(0, place, held_out[:, 1] - held_out[:, 0])
        return float(gaps.abs().sum() / len(held_out))

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
    return vectors
