"""What the README shows: ``load`` a model, then classify, embed, ask and segment.

An input is one item or a list of them; answers are always a list, of one for one input. In a list, items that cannot
be read are named in one warning and the others are answered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .inputs import Bad
from .model import AllSparkModel
from .processor import AllSparkProcessor
from .running import Kind, run_inputs, to_device
from .vectors import check_level, item_vectors, token_vectors

if TYPE_CHECKING:
    from .fewshot import FewShot
    from .segmentation import Segmentation

TEMPERATURE = 0.05  # of zero-shot scores where none was calibrated


@dataclass(frozen=True)
class Prediction:
    """One answer.

    Attributes:
        label: the best label; "" where the input could not be read.
        scores: label -> probability.
        inputs_used: the modalities that were read.
        abstained: the best score was below ``abstain_below``, or the input could not be read.
        error: why the input could not be read, else None.
    """

    label: str
    scores: dict[str, float] = field(default_factory=dict)
    inputs_used: tuple[str, ...] = ()
    abstained: bool = False
    error: str | None = None


class AllSpark:
    """A model and its processor.

    Args:
        model: an ``AllSparkModel``.
        processor: the ``AllSparkProcessor`` that goes with it.
        batch_size: items of one kind that go through the model together.
    """

    def __init__(self, model: AllSparkModel, processor: AllSparkProcessor, *, batch_size: int = 32) -> None:
        self.model = model.eval()
        self.processor = processor
        self.batch_size = batch_size

    @property
    def config(self) -> Any:
        """The model's ``AllSparkConfig``."""
        return self.model.config

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that it reads, in slot order."""
        return tuple(self.config.modalities)

    def save(self, path: str | os.PathLike) -> None:
        """Write config.json, processor_config.json, tokenizer and model.safetensors (no pickles) to a folder."""
        from .building import no_bars

        with no_bars():
            self.model.save_pretrained(path)
            self.processor.save_pretrained(path)

    def _run(
        self, inputs: Any, modality: str | None, run: Callable[[list[dict[str, Any]]], Iterable[Any]]
    ) -> tuple[list[Kind], list[Any]]:
        return run_inputs(self.processor, inputs, modality, run, self.batch_size)

    def _batch(self, samples: list[dict[str, Any]], **words: Sequence[str]) -> dict[str, Any]:
        return to_device(self.processor.collate(samples, **words), self.model.device)

    # -- embeddings ----------------------------------------------------------------------------------------------

    def text(self, words: Sequence[str]) -> Tensor:
        """Short texts -> (K, H) unit vectors of the language space."""
        with torch.inference_mode():
            parts = [self.processor.words(words[i : i + 256]) for i in range(0, len(words), 256)]
            return torch.cat([self.model.text_vectors(**to_device(part, self.model.device)) for part in parts])

    def embed(
        self, inputs: Any, *, modality: str | None = None, at: str = "language", output: str = "item"
    ) -> Tensor | list[Tensor]:
        """Vectors of inputs.

        Args:
            inputs: one item or a list.
            modality: which modality it is; recognised where it is not given.
            at: "encoder" (mean of its tokens, D), "bridge" (mean of its outputs, H) or "language" (the pooled last
                hidden state, unit length, H).
            output: "item" for one vector each, "dense" for one per token: (h, w, ·) on a grid, else (N, ·).

        Returns:
            (B, D), or (B, H), one row per input (B = 1 for one); rows of inputs that could not be read are NaN. With
            ``output="dense"`` a list of tensors, empty for those that could not be read.
        """
        check_level(at)
        if output == "dense":
            _, dense = self._run(inputs, modality, lambda samples: [self._dense(sample, at) for sample in samples])
            return [torch.empty(0) if row is None else row for row in dense]
        if output != "item":
            raise ValueError(f'output is {output!r}; wanted "item" or "dense"')
        return self._features(inputs, modality, at)[1]

    def _features(self, inputs: Any, modality: str | None, at: str) -> tuple[list[Kind], Tensor]:
        """The kind of every input, and (B, D), NaN where it is bad."""
        kinds, rows = self._run(inputs, modality, lambda samples: item_vectors(self.model, self._batch(samples), at))
        widths = {len(row) for row in rows if row is not None}
        if len(widths) > 1:
            raise ValueError(
                f'the inputs have vectors of widths {sorted(widths)} at="{at}"; use at="bridge" or at="language", '
                "or one modality at a time"
            )
        missing = torch.full((widths.pop(),), torch.nan, device=self.model.device)
        return kinds, torch.stack([missing if row is None else row for row in rows])

    def _dense(self, sample: dict[str, Any], at: str) -> Tensor:
        """One prepared sample -> its tokens' vectors: (h, w, ·) on a grid, else (N, ·)."""
        if len(sample) != 1:
            raise ValueError(f'{len(sample)} modalities came at once; output="dense" takes one')
        inputs = self._batch([sample])["inputs"]
        if not inputs:
            raise ValueError(f'{next(iter(sample))} has no encoder tokens; use output="item"')
        ((name, part),) = inputs.items()
        tokens = self.model.encode(name, part)
        features = token_vectors(self.model, self.processor, name, tokens.features, at)[0].float()
        if tokens.grid is not None:
            return features.unflatten(0, tokens.grid)
        return features if tokens.mask is None else features[tokens.mask[0]]

    # -- classification ------------------------------------------------------------------------------------------

    def classify(
        self,
        inputs: Any,
        labels: Sequence[str] | None = None,
        *,
        examples: Mapping[str, Any] | FewShot | None = None,
        modality: str | None = None,
        at: str = "language",
        by: str = "similarity",
        abstain_below: float | None = None,
    ) -> list[Prediction]:
        """Zero-shot (``labels``) or few-shot (``examples``) classification of any modality.

        Args:
            inputs: one item or a list.
            labels: the class names, in words.
            examples: label -> items of that class, or a ``FewShot`` made before.
            modality: which modality the inputs are; recognised where it is not given.
            at: the level whose vectors few-shot classification compares.
            by: zero-shot by "similarity" to the labels' text vectors, or by the "likelihood" of their words.
            abstain_below: predictions whose best score is below it are marked ``abstained``.

        Returns:
            One ``Prediction`` per input.

        Raises:
            ValueError: neither or both of labels and examples, or an input that cannot be read.
        """
        if (labels is None) == (examples is None):
            raise ValueError("give either labels= (zero-shot) or examples= (few-shot)")
        check_level(at)
        if abstain_below is not None and not 0 <= abstain_below <= 1:
            raise ValueError(f"abstain_below is {abstain_below}; wanted a probability from 0 to 1")
        if labels is None:
            names, kinds, scores = self._by_examples(inputs, examples, modality, at)
        elif by == "similarity":
            names, kinds, scores = self._by_similarity(inputs, check_labels(labels), modality)
        elif by == "likelihood":
            names, kinds, scores = self._by_likelihood(inputs, check_labels(labels), modality)
        else:
            raise ValueError(f'by is {by!r}; wanted "similarity" or "likelihood"')
        return [_prediction(kind, names, row, abstain_below) for kind, row in zip(kinds, scores)]

    def _by_similarity(self, inputs: Any, names: list[str], modality: str | None) -> tuple[list[str], list[Kind], Any]:
        text = self.text(names).float()
        kinds, features = self._features(inputs, modality, "language")
        return names, kinds, [
            (text @ row / self.temperature(kind)).softmax(-1) for kind, row in zip(kinds, features)
        ]  # fmt: skip

    def _by_likelihood(self, inputs: Any, names: list[str], modality: str | None) -> tuple[list[str], list[Kind], Any]:
        """Mean log-probability of each label's words after the item, softmaxed over the labels."""

        def run(samples: list[dict[str, Any]]) -> Tensor:
            columns = []
            for name in names:
                batch = self._batch(samples, answers=[name] * len(samples))
                labels = batch.pop("labels")
                columns.append(self.model.word_log_probabilities(self.model(**batch), labels))
            return torch.stack(columns, dim=1).softmax(-1)

        return names, *self._run(inputs, modality, run)

    def temperature(self, kind: Sequence[str] | Bad) -> float:
        """The calibrated temperature of zero-shot scores of these modalities."""
        known = [] if isinstance(kind, Bad) else [t for n, t in self.processor.temperatures.items() if n in kind]
        return sum(known) / len(known) if known else TEMPERATURE

    def _by_examples(
        self, inputs: Any, examples: Any, modality: str | None, at: str
    ) -> tuple[list[str], list[Kind], Any]:
        from .fewshot import FewShot

        few = examples if isinstance(examples, FewShot) else self.few_shot(examples, modality=modality, at=at)
        kinds, features = self._features(inputs, modality, few.at)
        good = [i for i, kind in enumerate(kinds) if not isinstance(kind, Bad)]
        rows: list[Any] = [None] * len(kinds)
        for i, row in zip(good, few.predict(features[good].cpu())):
            rows[i] = row
        return list(few.labels), kinds, rows

    def few_shot(
        self, examples: Mapping[str, Any], *, modality: str | None = None, method: str = "auto", at: str = "language"
    ) -> FewShot:
        """Learn classes from labelled examples, in closed form.

        Args:
            examples: label -> one item or a list of them.
            modality: which modality the items are; recognised where it is not given.
            method: see ``FewShot.fit``.
            at: the level whose vectors are compared.

        Raises:
            ValueError: fewer than two labels, or a label none of whose examples can be read.
        """
        from .fewshot import FewShot

        check_level(at)
        rows, owners, kinds = [], [], set()
        for name in check_labels(list(examples)):
            found, features = self._features(examples[name], modality, at)
            good = [i for i, kind in enumerate(found) if not isinstance(kind, Bad)]
            rows.append(features[good])
            owners += [name] * len(good)
            kinds |= {found[i] for i in good}
        return FewShot.fit(
            torch.cat(rows).cpu(),
            owners,
            method=method,
            at=at,
            modality="+".join(next(iter(kinds))) if len(kinds) == 1 else None,  # type: ignore[arg-type]
        )

    # -- words ---------------------------------------------------------------------------------------------------

    def ask(
        self, inputs: Any, question: str, *, max_new_tokens: int = 64, modality: str | None = None
    ) -> list[str]:
        """Ask in words of each input; "" for those that could not be read."""
        if not isinstance(question, str) or not question.strip():
            raise ValueError("the question is empty; wanted words")
        tokenizer = self.processor.tokenizer

        def run(samples: list[dict[str, Any]]) -> list[str]:
            new = self.model.generate(
                **self._batch(samples, questions=[question] * len(samples)),
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
            return [words.strip() for words in tokenizer.batch_decode(new, skip_special_tokens=True)]

        _, answers = self._run(inputs, modality, run)
        return ["" if answer is None else answer for answer in answers]

    # -- dense answers -------------------------------------------------------------------------------------------

    def segment(
        self,
        inputs: Any,
        labels: Sequence[str] | None = None,
        *,
        examples: Mapping[str, Any] | None = None,
        modality: str | None = None,
    ) -> list[Segmentation]:
        """A class for every pixel of a raster or point of a cloud; see ``allspark.dense.segment``."""
        from .dense import segment

        return segment(self, inputs, labels, examples=examples, modality=modality)


def _prediction(kind: Kind, names: Sequence[str], scores: Tensor | None, abstain_below: float | None) -> Prediction:
    if isinstance(kind, Bad) or scores is None:
        return Prediction("", abstained=True, error=str(kind))
    best = int(scores.argmax())
    return Prediction(
        names[best],
        {name: float(score) for name, score in zip(names, scores)},
        kind,
        abstained=abstain_below is not None and float(scores[best]) < abstain_below,
    )


def check_labels(labels: Sequence[str]) -> list[str]:
    """At least two different, non-empty names; ValueError says what came."""
    if isinstance(labels, str):
        raise ValueError(f"labels is one string, {labels!r}; wanted a list of at least two names")
    names = list(labels)
    if len(names) < 2 or len(set(names)) != len(names) or not all(isinstance(n, str) and n.strip() for n in names):
        raise ValueError(f"labels are {names}; wanted at least two different names, none empty")
    return names


def load(
    name: str | os.PathLike = "allspark-base",
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> AllSpark:
    """A model that ships with the package, or one that ``save`` wrote; never a network call.

    Args:
        name: "allspark-base", or a folder.
        device: by default a GPU where there is one.
        dtype: of the weights in memory.

    Raises:
        WeightsNotFoundError: no such model, or a file of its folder is missing.
        UnreadableFileError: a file of its folder is corrupt.
        ValueError: the weights are not those of the configuration.
    """
    from .building import load_parts

    model, processor = load_parts(os.fspath(name), dtype)
    model.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))  # type: ignore[arg-type]
    return AllSpark(model, processor)


def build(
    preset: str = "allspark-base",
    *,
    language: Any = None,
    tokenizer: Any = None,
    modality: Sequence[str] | None = None,
    encoders: Mapping[str, Mapping[str, Any]] | None = None,
    inputs: Mapping[str, Mapping[str, Any]] | None = None,
    heads: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int = 0,
) -> AllSpark:
    """A new model with untrained encoders and bridges, around any causal language model.

    Args:
        preset: where the sizes come from.
        language: a folder (or a name in the Hub's cache) of a causal language model and its tokenizer, a loaded
            ``PreTrainedModel`` (with ``tokenizer``), or None for the preset's, untrained.
        tokenizer: a loaded tokenizer; needed with a loaded ``language``.
        modality: which modalities to include; by default all that are registered.
        encoders: modality -> changes of its encoder's config, such as
            ``{"rgb": {"tower": "timm:vit_base_patch16_224@weights.safetensors"}}``.
        inputs: modality -> changes of its ``prepare`` arguments.
        heads: name -> head config.
        seed: of the random weights; torch's own random state is left as it was.
    """
    from .building import build_parts

    model, processor = build_parts(
        preset, language=language, tokenizer=tokenizer, modality=modality, encoders=encoders or {},
        inputs=inputs or {}, heads=heads or {}, seed=seed,
    )  # fmt: skip
    return AllSpark(model, processor)


__all__ = ["AllSpark", "Prediction", "build", "check_labels", "load"]
