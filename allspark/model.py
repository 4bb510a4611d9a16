"""The model: encoders, bridges and soft prompts around any causal language model of transformers.

The language model gets no wrapper and no new words: a sequence holds pad ids wherever a modality's vectors stand, and
``slots`` says which modality that is (0 = words, k = the k-th of ``config.modalities``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedModel
from transformers.modeling_outputs import ModelOutput

from . import modality as modalities
from .bridges import make_bridge, masked_mean
from .config import AllSparkConfig
from .encoders.base import Tokens
from .heads import make_head
from .prompts import SoftPrompts


@dataclass
class AllSparkOutput(ModelOutput):
    """What ``AllSparkModel`` gives back.

    Attributes:
        loss: the words' next-token loss, plus the head's loss where a head and a target came.
        logits: the head's output; without a head, where labels came, (M, vocabulary) at the M labelled words.
        pooled: (B, H), mean of the last hidden state over the item's own positions, not normalised.
        last_hidden_state: (B, L, H).
        tokens: modality -> Tokens, from its encoder.
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    pooled: Tensor | None = None
    last_hidden_state: Tensor | None = None
    tokens: dict[str, Tokens] | None = None


def positions(attention_mask: Tensor) -> Tensor:
    """Position numbers for left-padded rows: (B, L) -> (B, L), from 0 at each row's first real token."""
    return (attention_mask.long().cumsum(-1) - 1).clamp_min(0)


def own_numbers(inputs: Mapping[str, dict[str, Any]]) -> dict[str, Tensor]:
    """Modality -> collated batch, to modality -> (B, S) numbers of its items, of those that can give them.

    And "others" -> (B, M, ·), who else was about, where that is known of an item that moves.
    """
    found = {}
    for name, batch in inputs.items():
        numbers, tensors = modalities.get(name).numbers, {k: v for k, v in batch.items() if isinstance(v, Tensor)}
        if numbers is not None and tensors:
            with torch.autocast(next(iter(tensors.values())).device.type, enabled=False):
                found[name] = numbers(**tensors)
        if "others" in tensors:
            found["others"] = tensors["others"]
    return found


class AllSparkModel(PreTrainedModel):
    """Ten kinds of data in one sequence of a language model (Language as Reference Framework, AllSpark, TGRS 2025)."""

    config_class = AllSparkConfig
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True

    def __init__(self, config: AllSparkConfig) -> None:
        super().__init__(config)
        self.language = AutoModelForCausalLM.from_config(config.text_config)
        width = config.language_width
        self.encoders = nn.ModuleDict(
            {name: modalities.get(name).encoder(**config.encoders[name]) for name in self.encoded}  # type: ignore[misc]
        )
        widths = {name: int(encoder.width) for name, encoder in self.encoders.items()}  # type: ignore[arg-type]
        self.bridges = nn.ModuleDict({name: make_bridge(d, width, **config.bridge) for name, d in widths.items()})
        self.prompts = SoftPrompts(self.encoded, config.soft_prompt, width)
        self.heads = nn.ModuleDict({name: make_head(width, **head) for name, head in config.heads.items()})
        for part in (self.encoders, self.bridges, self.prompts, self.heads):
            for module in part.modules():
                # our parts initialise themselves; under the meta device there is nothing there yet to keep
                ready = not any(p.is_meta for p in module.parameters(recurse=False))
                module._is_hf_initialized = ready  # type: ignore[assignment]
        self.post_init()

    @property
    def encoded(self) -> list[str]:
        """The modalities that have an encoder, in slot order."""
        return [name for name in self.config.modalities if name in self.config.encoders]

    def encode(self, modality: str, inputs: dict[str, Any]) -> Tokens:
        """One modality's collated batch -> its encoder's tokens.

        Lists of words arrive as ``{"input_ids", "attention_mask", "index"}`` and reach the encoder as their text
        vectors, (B, M, H), zero where a row has fewer words than the longest.
        """
        ready = {}
        for key, value in inputs.items():
            if isinstance(value, dict):
                vectors = self.text_vectors(value["input_ids"], value["attention_mask"])  # (U, H)
                index = value["index"]  # (B, M), -1 where there is no word
                value = vectors[index.clamp_min(0)] * (index >= 0).to(vectors.dtype)[..., None]
            ready[key] = value
        return self.encoders[modality](**ready)

    def bridge(self, modality: str, tokens: Tokens) -> Tensor:
        """An encoder's tokens -> (B, Q, H) in the language model's embedding space."""
        return self.bridges[modality](tokens.features, tokens.mask)

    def embed_inputs(
        self, input_ids: Tensor, slots: Tensor, inputs: dict[str, dict[str, Any] | Tokens]
    ) -> tuple[Tensor, dict[str, Tokens]]:
        """Words and modalities as one sequence of embeddings, (B, L, H), and every encoder's tokens.

        Raises:
            ValueError: the slots in the sequence are not as many as the vectors that came for them.
        """
        embeds = self.language.get_input_embeddings()(input_ids)
        tokens: dict[str, Tokens] = {}
        for slot, name in enumerate(self.config.modalities, 1):
            if name not in inputs:
                continue
            given = inputs[name]  # an encoder's tokens may come in place of its inputs: they can be kept between steps
            tokens[name] = given if isinstance(given, Tokens) else self.encode(name, given)
            vectors = self.prompts(name, self.bridge(name, tokens[name])).to(embeds.dtype)  # (b, S + Q, H)
            where = slots == slot
            if (found := int(where.sum())) != vectors.shape[0] * vectors.shape[1]:
                raise ValueError(
                    f"the sequence holds {found} slots for {name}, but {vectors.shape[0]} items of "
                    f"{vectors.shape[1]} vectors came; make both with the same processor"
                )
            embeds = embeds.masked_scatter(where[..., None], vectors)
        if missing := [n for n in inputs if n not in tokens]:
            raise ValueError(f"the model has no modality {missing}; it has {self.config.modalities}")
        return embeds, tokens

    def text_vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Words -> the language space: (U, L) -> (U, H), unit length, the mean over the last hidden state."""
        hidden = self.language.base_model(
            input_ids=input_ids, attention_mask=attention_mask, position_ids=positions(attention_mask), use_cache=False
        ).last_hidden_state
        return F.normalize(masked_mean(hidden, attention_mask.bool()).float(), dim=-1)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        slots: Tensor,
        content: Tensor,
        inputs: dict[str, dict[str, Any] | Tokens] | None = None,
        labels: Tensor | None = None,
        head: str | None = None,
        target: Tensor | None = None,
    ) -> AllSparkOutput:
        """One batch through encoders, bridges and language model.

        Args:
            input_ids: (B, L), left-padded.
            attention_mask: (B, L).
            slots: (B, L), 0 = words, k = the k-th modality.
            content: (B, L) bool, the positions that are the item itself (not prompts, not questions).
            inputs: modality -> its collated batch (or Tokens made of it before), rows in the order of the batch.
            labels: (B, L) word ids to predict, -100 elsewhere.
            head: the name of a head to run on the pooled vector.
            target: what the head is to give.
        """
        at = "language" if head is None else self.config.heads[head].get("at", "language")
        if head is not None and labels is None and at == "words":
            return self._of_words(input_ids, content, head, target)
        own = (input_ids, content & (slots == 0))
        if head is not None and labels is None and at != "language":
            return self._before_language(inputs or {}, own, head, target)
        embeds, tokens = self.embed_inputs(input_ids, slots, inputs or {})
        hidden = self.language.base_model(
            inputs_embeds=embeds, attention_mask=attention_mask, position_ids=positions(attention_mask), use_cache=False
        ).last_hidden_state
        pooled = masked_mean(hidden, content)
        loss, logits = None, None
        if labels is not None:
            wanted = labels[:, 1:] != -100
            # only the positions that are trained on meet the vocabulary: the rest would be most of the work
            picked = self.language.get_output_embeddings()(hidden[:, :-1][wanted])
            loss = F.cross_entropy(picked.float(), labels[:, 1:][wanted])
            logits = picked
        if head is not None:
            logits = self._answer(head, pooled, tokens, inputs or {}, own)
            if target is not None:
                of_head = self.heads[head].loss(logits, target)  # type: ignore[operator]
                loss = of_head if loss is None else loss + of_head
        return AllSparkOutput(loss=loss, logits=logits, pooled=pooled, last_hidden_state=hidden, tokens=tokens)

    def _answer(
        self,
        head: str,
        pooled: Tensor,
        tokens: dict[str, Tokens],
        inputs: Mapping[str, dict[str, Any] | Tokens],
        words: tuple[Tensor, Tensor],
    ) -> Tensor:
        """What a head says; one with a road past the encoder is given the items' own numbers and words too."""
        first = next(iter(tokens.values()), None)
        wide = self.config.heads[head].get("wide")
        if wide is None:
            return self.heads[head](pooled, first)
        read = {*wide["sizes"], *wide.get("around", ())}
        given = {name: part for name, part in inputs.items() if name in read}
        if any(isinstance(part, Tokens) for part in given.values()):
            raise ValueError(f"head {head!r} reads the items' own numbers, but tokens came in place of the items")
        return self.heads[head](pooled, first, own_numbers(given), words)  # type: ignore[arg-type]

    def _before_language(
        self,
        inputs: dict[str, dict[str, Any] | Tokens],
        own: tuple[Tensor, Tensor],
        head: str,
        target: Tensor | None,
    ) -> AllSparkOutput:
        """A head that reads the encoder or the bridge, without the language model: the mean over the modalities."""
        if not inputs:
            raise ValueError(f"head {head!r} reads before the language model, but the items are words alone")
        at = self.config.heads[head]["at"]
        tokens = {n: part if isinstance(part, Tokens) else self.encode(n, part) for n, part in inputs.items()}
        vectors = [
            masked_mean(part.features, part.mask) if at == "encoder" else self.bridge(name, part).mean(1)
            for name, part in tokens.items()
        ]
        pooled = torch.stack(vectors).mean(0)
        logits = self._answer(head, pooled, tokens, inputs, own)
        loss = None if target is None else self.heads[head].loss(logits, target)  # type: ignore[operator]
        return AllSparkOutput(loss=loss, logits=logits, pooled=pooled, tokens=tokens)

    def _of_words(self, input_ids: Tensor, content: Tensor, head: str, target: Tensor | None) -> AllSparkOutput:
        """A head that reads the mean of the words' embeddings (as fastText, Joulin et al., EACL 2017): no order."""
        words = self.language.get_input_embeddings()(input_ids[content])  # (all words of the batch, H)
        rows = content.nonzero()[:, 0]
        total = words.new_zeros(len(content), words.shape[-1]).index_add(0, rows, words)
        pooled = total / content.sum(1, keepdim=True).clamp_min(1)
        logits = self._answer(head, pooled, {}, {}, (input_ids, content))
        loss = None if target is None else self.heads[head].loss(logits, target)  # type: ignore[operator]
        return AllSparkOutput(loss=loss, logits=logits, pooled=pooled, tokens={})

    def word_log_probabilities(self, output: AllSparkOutput, labels: Tensor) -> Tensor:
        """Mean log-probability of each row's labelled words: AllSparkOutput and (B, L) -> (B,)."""
        if output.last_hidden_state is None:
            raise ValueError("the output has no last hidden state; wanted what forward gave")
        wanted = labels[:, 1:] != -100
        logits = self.language.get_output_embeddings()(output.last_hidden_state[:, :-1][wanted])
        losses = F.cross_entropy(logits.float(), labels[:, 1:][wanted], reduction="none")
        rows = wanted.nonzero()[:, 0]
        total = torch.zeros(len(labels), device=losses.device).index_add_(0, rows, losses)
        return -total / wanted.sum(1).clamp_min(1)

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        slots: Tensor,
        content: Tensor | None = None,
        inputs: dict[str, dict[str, Any] | Tokens] | None = None,
        **generation: Any,
    ) -> Tensor:
        """New word ids after each row, (B, new); ``generation`` goes to the language model's own ``generate``."""
        embeds, _ = self.embed_inputs(input_ids, slots, inputs or {})
        return self.language.generate(inputs_embeds=embeds, attention_mask=attention_mask, **generation)


AutoConfig.register("allspark", AllSparkConfig)
AutoModel.register(AllSparkConfig, AllSparkModel)
