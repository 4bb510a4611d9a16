"""What the README shows: ``load`` a model, then classify, embed, ask and segment.

An input is one item or a list of them; answers are always a list, of one for one input. In a list, items that cannot
be read are named in one warning and the others are answered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import torch
from torch import Tensor

from . import classifying, presets, trained
from .adapters import Adapter, carried
from .fewshot import FewShot
from .inputs import Bad
from .model import AllSparkModel
from .predictions import Prediction, check_labels, prediction_of
from .presets import FEW_SHOT_LEVEL
from .processor import AllSparkProcessor
from .running import Kind, run_inputs, to_device
from .vectors import LEVELS, check_level, item_vectors, level_vectors, levels_of, token_vectors

if TYPE_CHECKING:
    from .segmentation import Segmentation
    from .spatiotemporal.forecaster import Forecaster

TEMPERATURE = 0.05  # of zero-shot scores where none was calibrated


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
        self.adapter: Adapter | None = None  # set by load(adapter=...)

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

        if self.adapter is not None:
            raise ValueError("the model carries an adapter, which has its own folder; merge() or unload() it first")

        with no_bars():
            self.model.save_pretrained(path)
            self.processor.save_pretrained(path)

    def merge(self) -> AllSpark:
        """Fold the adapter's weights into the model's own: nothing is slower than before, ``save`` writes them."""
        self.model, self.adapter = carried(self.adapter).merged(), None
        return self

    def unload(self) -> AllSpark:
        """Take the adapter off: the model is as it was before, without the heads that the adapter brought."""
        self.model, self.adapter = carried(self.adapter).unloaded(self.processor), None
        return self

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
            at: "encoder" (mean of its tokens, D; of words alone their ``sketch``), "bridge" (mean of its outputs, H) or
                "language" (the pooled last hidden state, unit length, H); several joined by "+" put their unit
                vectors side by side.
            output: "item" for one vector each, "dense" for one per token: (h, w, ·) on a grid, else (N, ·).

        Returns:
            (B, D), or (B, H), one row per input (B = 1 for one); rows of inputs that could not be read are NaN. With
            ``output="dense"`` a list of tensors, empty for those that could not be read.
        """
        levels_of(at)
        if output == "dense":
            check_level(at)
            _, dense = self._run(inputs, modality, lambda samples: [self._dense(sample, at) for sample in samples])
            return [torch.empty(0) if row is None else row for row in dense]
        if output != "item":
            raise ValueError(f'output is {output!r}; wanted "item" or "dense"')
        return self._features(inputs, modality, at)[1]

    def embed_levels(
        self, inputs: Any, *, modality: str | None = None, levels: Sequence[str] = LEVELS
    ) -> dict[str, Tensor]:
        """Level -> vectors as `embed` gives them, with every item read and encoded once for all of them.

        Args:
            inputs: one item or a list.
            modality: which modality it is; recognised where it is not given.
            levels: of "encoder", "bridge" and "language".
        """
        for level in levels:
            check_level(level)

        def run(samples: list[dict[str, Any]]) -> list[list[Tensor]]:
            found = level_vectors(self.model, self.processor, samples, levels)
            return [list(rows) for rows in zip(*found.values(), strict=True)]

        _, rows = self._run(inputs, modality, run)
        columns = zip(*(row if row is not None else [None] * len(levels) for row in rows), strict=True)
        return {level: self._stack(column, level) for level, column in zip(levels, columns, strict=True)}

    def _features(self, inputs: Any, modality: str | None, at: str) -> tuple[list[Kind], Tensor]:
        """The kind of every input, and (B, D), NaN where it is bad."""

        def run(samples: list[dict[str, Any]]) -> Tensor:
            return item_vectors(self.model, self.processor, samples, at)

        kinds, rows = self._run(inputs, modality, run)
        return kinds, self._stack(rows, at)

    def _stack(self, rows: Sequence[Tensor | None], at: str) -> Tensor:
        """(B, D) of B vectors; NaN where there is none."""
        widths = {len(row) for row in rows if row is not None}
        if len(widths) > 1:
            raise ValueError(
                f'the inputs have vectors of widths {sorted(widths)} at="{at}"; use at="bridge" or at="language", '
                "or one modality at a time"
            )
        missing = torch.full((widths.pop(),), torch.nan, device=self.model.device)
        return torch.stack([missing if row is None else row for row in rows])

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
        at: str = FEW_SHOT_LEVEL,
        by: str = "similarity",
        abstain_below: float | None = None,
        coverage: float | None = None,
        transductive: bool = False,
    ) -> list[Prediction]:
        """Zero-shot (``labels``), few-shot (``examples``) or, with neither, classification by a trained head.

        Args:
            inputs: one item or a list.
            labels: the class names, in words.
            examples: label -> items of that class, or a ``FewShot`` made before.
            modality: which modality the inputs are; recognised where it is not given.
            at: the level whose vectors few-shot classification compares ("encoder", "bridge", "language"), or several
                joined by "+".
            by: zero-shot by "similarity" to the labels' text vectors, or by the "likelihood" of their words.
            abstain_below: predictions whose best score is below it are marked ``abstained``.
            coverage: few-shot alone: abstain so that this share of items like the examples is answered
                (``FewShot.threshold``).
            transductive: few-shot alone: all inputs are looked at together, as they also show where the classes lie;
                for lists in which most classes occur (``FewShot.predict``).

        Returns:
            One ``Prediction`` per input.

        Raises:
            ValueError: both of labels and examples, neither where no head was trained, or an unreadable input.
        """
        if labels is not None and examples is not None:
            raise ValueError("give either labels= (zero-shot) or examples= (few-shot)")
        levels_of(at)
        if abstain_below is not None and not 0 <= abstain_below <= 1:
            raise ValueError(f"abstain_below is {abstain_below}; wanted a probability from 0 to 1")
        if examples is None and (coverage is not None or transductive):
            raise ValueError("coverage= and transductive= go with examples= (few-shot); leave them out")
        if examples is None and labels is None:
            names, kinds, scores = trained.class_scores(self, inputs, modality)
        elif examples is not None:
            few = examples if isinstance(examples, FewShot) else self.few_shot(examples, modality=modality, at=at)
            abstain_below = few.threshold(coverage)[0] if coverage is not None else abstain_below
            names, kinds, scores = classifying.by_examples(self, inputs, few, modality, transductive)
        elif labels is not None and by == "similarity":
            names, kinds, scores = classifying.by_similarity(self, inputs, check_labels(labels), modality)
        elif labels is not None and by == "likelihood":
            names, kinds, scores = classifying.by_likelihood(self, inputs, check_labels(labels), modality)
        else:
            raise ValueError(f'by is {by!r}; wanted "similarity" or "likelihood"')
        return [prediction_of(kind, names, row, abstain_below) for kind, row in zip(kinds, scores)]

    def temperature(self, kind: Sequence[str] | Bad) -> float:
        """The calibrated temperature of zero-shot scores of these modalities."""
        known = [] if isinstance(kind, Bad) else [t for n, t in self.processor.temperatures.items() if n in kind]
        return sum(known) / len(known) if known else TEMPERATURE

    def few_shot(
        self,
        examples: Mapping[str, Any],
        *,
        modality: str | None = None,
        method: str = "auto",
        at: str = FEW_SHOT_LEVEL,
        names: bool = False,
    ) -> FewShot:
        """Learn classes from labelled examples, without training.

        Args:
            examples: label -> one item or a list of them.
            modality: which modality the items are; recognised where it is not given.
            method: see ``FewShot.fit``.
            at: the level whose vectors are compared ("encoder", "bridge", "language"), or several joined by "+".
            names: the labels say what the classes are: their text vectors are mixed in, with the weight of least
                held-out loss; from single examples only where the names tell them apart better than chance.

        Raises:
            ValueError: fewer than two labels, a label none of whose examples can be read, or names without language.
        """
        return classifying.learn(self, examples, modality, method, at, names)

    # -- words ---------------------------------------------------------------------------------------------------

    def ask(self, inputs: Any, question: str, *, max_new_tokens: int = 64, modality: str | None = None) -> list[str]:
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

    # -- trained heads -------------------------------------------------------------------------------------------

    def regress(self, inputs: Any, *, modality: str | None = None) -> Tensor:
        """Numbers of a trained head: (B,), in the targets' unit; NaN for inputs that could not be read."""
        return trained.numbers(self, inputs, modality)

    def futures(self, inputs: Any) -> list[trained.Futures]:
        """Where things will be, by a trained head, after the last fixes of each trajectory; see ``Futures``."""
        return trained.futures(self, inputs)

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


@overload
def load(  # type: ignore[overload-overlap]
    name: Literal["unistd-base"],
    *,
    adapter: None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Forecaster: ...


@overload
def load(
    name: str | os.PathLike = "allspark-base",
    *,
    adapter: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> AllSpark: ...


def load(
    name: str | os.PathLike = "allspark-base",
    *,
    adapter: str | os.PathLike | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype = torch.float32,
) -> Any:
    """A model that ships with the package, or one that ``save`` wrote; never a network call.

    Args:
        name: "allspark-base", "unistd-base" (a ``Forecaster``), or a folder of either kind.
        adapter: a folder that ``allspark.finetune`` wrote for this model.
        device: by default a GPU where there is one.
        dtype: of the weights in memory.

    Raises:
        WeightsNotFoundError: no such model, or a file of its folder is missing.
        UnreadableFileError: a file of its folder is corrupt.
        ValueError: the weights are not those of the configuration.
    """
    from .building import load_parts
    from .spatiotemporal.config import MODEL_TYPE

    if presets.model_type(os.fspath(name)) == MODEL_TYPE:
        from .spatiotemporal.forecaster import Forecaster

        return Forecaster.load(name, device)
    model, processor = load_parts(os.fspath(name), dtype)
    model.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))  # type: ignore[arg-type]
    spark = AllSpark(model, processor)
    if adapter is not None:
        spark.adapter = Adapter.attach(model, processor, adapter)
    return spark


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
