"""What the README shows: ``load`` a model, then classify, embed, ask and segment.

An input is one item or a list of them; answers are always a list, of one for one input. In a list, items that cannot
be read are named in one warning and the others are answered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import modality as modalities
from .bridges import masked_mean
from .inputs import Bad, as_items, warn_bad
from .items import Item
from .model import AllSparkModel, positions
from .presets import find
from .processor import AllSparkProcessor

if TYPE_CHECKING:
    from .fewshot import FewShot
    from .segmentation import Segmentation

LEVELS = ("encoder", "bridge", "language")
TEMPERATURE = 0.05  # of zero-shot scores where none was calibrated
SHOW_PROGRESS = 200  # items; shorter lists are over before a bar is read

Entry = Mapping[str, Item] | Bad


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
        with _no_bars():
            self.model.save_pretrained(path)
            self.processor.save_pretrained(path)

    # -- embeddings ----------------------------------------------------------------------------------------------

    def text(self, words: Sequence[str]) -> Tensor:
        """Short texts -> (K, H) unit vectors of the language space."""
        with torch.inference_mode():
            batches = [words[i : i + 256] for i in range(0, len(words), 256)]
            return torch.cat([self.model.text_vectors(**self._to(self.processor.words(batch))) for batch in batches])

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
        _check_level(at)
        entries = as_items(inputs, modality)
        warn_bad(entries)
        if output == "dense":
            return [torch.empty(0) if isinstance(entry, Bad) else self._dense(entry, at) for entry in entries]
        if output != "item":
            raise ValueError(f'output is {output!r}; wanted "item" or "dense"')
        return self._features(entries, at)[1]

    def _features(self, entries: Sequence[Entry], at: str) -> tuple[list[Entry], Tensor]:
        """Entries -> entries (those that could not be prepared become Bad) and (B, D), NaN where Bad."""

        def run(batch: dict[str, Any]) -> Tensor:
            if at == "language":
                return F.normalize(self.model(**batch).pooled.float(), dim=-1)
            return self._before_language(batch, at)

        entries, rows = self._run(entries, run)
        good = [row for row in rows if row is not None]
        widths = {len(row) for row in good}
        if len(widths) > 1:
            raise ValueError(
                f'the inputs have vectors of widths {sorted(widths)} at="{at}"; use at="bridge" or at="language", '
                "or one modality at a time"
            )
        missing = torch.full((widths.pop(),), torch.nan)
        return entries, torch.stack([missing if row is None else row for row in rows])

    def _before_language(self, batch: dict[str, Any], at: str) -> Tensor:
        inputs = batch["inputs"]
        if not inputs:  # words alone: the embedding table is their encoder
            return masked_mean(self.model.language.get_input_embeddings()(batch["input_ids"]), batch["content"]).float()
        if len(inputs) > 1 and at == "encoder":
            raise ValueError(f'{len(inputs)} modalities came at once; use at="bridge" or at="language"')
        parts = []
        for name, part in inputs.items():
            tokens = self.model.encode(name, part)
            if at == "encoder":
                return masked_mean(tokens.features, tokens.mask).float()
            parts.append(self.model.bridge(name, tokens).float().mean(1))
        return torch.stack(parts).mean(0)

    def _run(
        self,
        entries: Sequence[Entry],
        run: Callable[[dict[str, Any]], Sequence[Any]],
        **words: str,
    ) -> tuple[list[Entry], list[Any]]:
        """Prepare, batch by kind and run; results in the order of the entries, None for those that are Bad."""
        out: list[Entry] = list(entries)
        results: list[Any] = [None] * len(out)
        kinds: dict[tuple[str, ...], list[int]] = {}
        for i, entry in enumerate(out):
            if not isinstance(entry, Bad):
                kinds.setdefault(tuple(sorted(entry)), []).append(i)
        with torch.inference_mode():
            for rows in _progress(
                [r[i : i + self.batch_size] for r in kinds.values() for i in range(0, len(r), self.batch_size)],
                len(out),
            ):
                samples, ready = [], []
                for i in rows:
                    try:
                        samples.append(self.processor.prepare(out[i]))  # type: ignore[arg-type]
                        ready.append(i)
                    except (ValueError, OSError) as error:
                        if len(out) == 1:
                            raise
                        out[i] = Bad(f"item {i}", error)
                if ready:
                    spread = {key: [value] * len(ready) for key, value in words.items()}
                    for i, result in zip(ready, run(self._to(self.processor.collate(samples, **spread)))):
                        results[i] = result
        if any(isinstance(new, Bad) and not isinstance(old, Bad) for new, old in zip(out, entries)):
            warn_bad(out)
        return out, results

    def _to(self, value: Any) -> Any:
        """Tensors of a nested batch on the model's device."""
        if isinstance(value, Tensor):
            return value.to(self.model.device)
        return {key: self._to(part) for key, part in value.items()} if isinstance(value, dict) else value

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
        _check_level(at)
        if abstain_below is not None and not 0 <= abstain_below <= 1:
            raise ValueError(f"abstain_below is {abstain_below}; wanted a probability from 0 to 1")
        if labels is not None:
            names, score = self._zero_shot(labels, by)
        else:
            names, score = self._from_examples(examples, modality, at)
        entries = as_items(inputs, modality)
        warn_bad(entries)
        entries, scores = score(entries)
        return [self._prediction(entry, names, row, abstain_below) for entry, row in zip(entries, scores)]

    def _zero_shot(self, labels: Sequence[str], by: str) -> tuple[list[str], Callable]:
        names = check_labels(labels)
        if by not in ("similarity", "likelihood"):
            raise ValueError(f'by is {by!r}; wanted "similarity" or "likelihood"')
        if by == "likelihood":
            return names, lambda entries: self._by_likelihood(entries, names)
        text = self.text(names).float()

        def score(entries: Sequence[Entry]) -> tuple[list[Entry], list[Any]]:
            entries, features = self._features(entries, "language")
            return entries, [
                None if isinstance(entry, Bad) else (text @ row / self._temperature(entry)).softmax(-1)
                for entry, row in zip(entries, features)
            ]

        return names, score

    def _by_likelihood(self, entries: Sequence[Entry], names: list[str]) -> tuple[list[Entry], list[Any]]:
        """Mean log-probability of each label's words after the item, softmaxed over the labels."""
        columns = []
        for name in names:
            entries, column = self._run(
                entries,
                lambda batch: self.model.word_log_probabilities(
                    self.model(**{key: part for key, part in batch.items() if key != "labels"}), batch["labels"]
                ),
                answers=name,
            )
            columns.append(column)
        return list(entries), [None if row[0] is None else torch.stack(row).softmax(-1) for row in zip(*columns)]

    def _temperature(self, entry: Mapping[str, Item]) -> float:
        known = [self.processor.temperatures[name] for name in entry if name in self.processor.temperatures]
        return sum(known) / len(known) if known else TEMPERATURE

    def _from_examples(self, examples: Any, modality: str | None, at: str) -> tuple[list[str], Callable]:
        from .fewshot import FewShot

        few = examples if isinstance(examples, FewShot) else self.few_shot(examples, modality=modality, at=at)

        def score(entries: Sequence[Entry]) -> tuple[list[Entry], list[Any]]:
            entries, features = self._features(entries, few.at)
            good = [i for i, entry in enumerate(entries) if not isinstance(entry, Bad)]
            rows: list[Any] = [None] * len(entries)
            for i, row in zip(good, few.predict(features[good])):
                rows[i] = row
            return entries, rows

        return list(few.labels), score

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

        _check_level(at)
        names = check_labels(list(examples))
        entries, owners = [], []
        for name in names:
            found = as_items(examples[name], modality)
            entries += found
            owners += [name] * len(found)
        warn_bad(entries)
        entries, features = self._features(entries, at)
        good = [i for i, entry in enumerate(entries) if not isinstance(entry, Bad)]
        kinds = {tuple(sorted(entries[i])) for i in good}  # type: ignore[arg-type]
        return FewShot.fit(
            features[good],
            [owners[i] for i in good],
            method=method,
            at=at,
            modality="+".join(kinds.pop()) if len(kinds) == 1 else None,
        )

    def _prediction(
        self, entry: Entry, names: Sequence[str], scores: Tensor | None, abstain_below: float | None
    ) -> Prediction:
        if isinstance(entry, Bad) or scores is None:
            return Prediction("", abstained=True, error=str(entry))
        best = int(scores.argmax())
        used = tuple(sorted(entry, key=self.modalities.index))
        return Prediction(
            names[best],
            {name: float(score) for name, score in zip(names, scores)},
            used,
            abstained=abstain_below is not None and float(scores[best]) < abstain_below,
        )

    # -- words ---------------------------------------------------------------------------------------------------

    def ask(
        self, inputs: Any, question: str, *, max_new_tokens: int = 64, modality: str | None = None
    ) -> list[str]:
        """Ask in words of each input; "" for those that could not be read."""
        if not isinstance(question, str) or not question.strip():
            raise ValueError("the question is empty; wanted words")
        entries = as_items(inputs, modality)
        warn_bad(entries)
        tokenizer = self.processor.tokenizer

        def run(batch: dict[str, Any]) -> list[str]:
            new = self.model.generate(
                **batch,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
            return [words.strip() for words in tokenizer.batch_decode(new, skip_special_tokens=True)]

        _, answers = self._run(entries, run, questions=question)
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

    def _dense(self, entry: Mapping[str, Item], at: str) -> Tensor:
        """One item -> its tokens' vectors: (h, w, ·) on a grid, else (N, ·)."""
        if len(entry) != 1:
            raise ValueError(f'{len(entry)} modalities came at once; output="dense" takes one')
        with torch.inference_mode():
            batch = self._to(self.processor([entry]))
            if not batch["inputs"]:
                name = next(iter(entry))
                raise ValueError(f'{name} has no encoder tokens; use output="item"')
            ((name, inputs),) = batch["inputs"].items()
            tokens = self.model.encode(name, inputs)
            features = self.at_tokens(name, tokens.features, at)[0].float()  # (N, ·)
        if tokens.grid is not None:
            return features.unflatten(0, tokens.grid)
        return features if tokens.mask is None else features[tokens.mask[0]]

    def at_tokens(self, name: str, features: Tensor, at: str) -> Tensor:
        """Every token on its own through bridge and language model: (B, N, D) -> (B, N, D or H)."""
        if at == "encoder":
            return features
        single = features.flatten(0, 1)[:, None]  # (B · N, 1, D)
        out = []
        for part in single.split(8 * self.batch_size):
            bridged = self.model.bridges[name](part, None)  # (b, Q, H)
            if at == "language":
                words = self.processor.ids(modalities.get(name).prompt).to(features.device)
                before = self.model.language.get_input_embeddings()(words).expand(len(part), -1, -1)
                embeds = torch.cat([before, self.model.prompts(name, bridged)], dim=1)
                mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
                hidden = self.model.language.base_model(
                    inputs_embeds=embeds, attention_mask=mask, position_ids=positions(mask), use_cache=False
                ).last_hidden_state
                bridged = F.normalize(hidden[:, -bridged.shape[1] :].mean(1), dim=-1)[:, None]
            out.append(bridged.mean(1))
        return torch.cat(out).unflatten(0, features.shape[:2])


def _check_level(at: str) -> None:
    if at not in LEVELS:
        raise ValueError(f"at is {at!r}; wanted one of {', '.join(LEVELS)}")


def check_labels(labels: Sequence[str]) -> list[str]:
    """At least two different, non-empty names; ValueError says what came."""
    if isinstance(labels, str):
        raise ValueError(f"labels is one string, {labels!r}; wanted a list of at least two names")
    names = list(labels)
    if len(names) < 2 or len(set(names)) != len(names) or not all(isinstance(n, str) and n.strip() for n in names):
        raise ValueError(f"labels are {names}; wanted at least two different names, none empty")
    return names


@contextmanager
def _no_bars() -> Iterator[None]:
    """Without transformers' own progress bars, which would say nothing of a model this small."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _progress(batches: list[list[int]], total: int) -> Iterator[list[int]]:
    """Batches, with a bar on the terminal for long lists."""
    if total < SHOW_PROGRESS:
        yield from batches
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("items", total=total)
        for batch in batches:
            yield batch
            bar.advance(task, len(batch))


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
    folder = find(os.fspath(name))
    with _no_bars():
        model, report = AllSparkModel.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if missing or unexpected:
        raise ValueError(
            f"{folder}: the weights do not fit config.json ({len(missing)} missing, as {missing[:2]}; {len(unexpected)} "
            f"unknown, as {unexpected[:2]}); save the model again"
        )
    processor = AllSparkProcessor.from_pretrained(folder, local_files_only=True)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return AllSpark(model.to(device), processor)


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
        encoders: modality -> changes of its encoder's config, such as ``{"rgb": {"tower": "timm:vit_base_patch16_224"}}``.
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
