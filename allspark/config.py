"""Everything that rebuilds the model without its weights."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec


class AllSparkConfig(PreTrainedConfig):
    """The architecture as data; config.json holds nothing else.

    Args:
        text_config: the causal language model's own config (any of transformers' families).
        modalities: names in the order of their slot numbers (the first is slot 1).
        encoders: modality -> its encoder's config; none for modalities that are words themselves.
        bridge: kind and size of every bridge ("resampler" or "linear").
        soft_prompt: S, learned vectors before each modality's bridge tokens.
        heads: name -> a head's kind and config (label names live here).
        licences: source -> licence of what the weights were trained on.
    """

    model_type = "allspark"
    sub_configs_defaults = {"text_config": SubConfigSpec(config_class=AutoConfig, model_type="llama")}

    text_config: Any = None
    modalities: list[str] = field(default_factory=list)
    encoders: dict[str, dict[str, Any]] = field(default_factory=dict)
    bridge: dict[str, Any] = field(default_factory=lambda: {"kind": "resampler", "queries": 8})
    soft_prompt: int = 4
    heads: dict[str, dict[str, Any]] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        # the outer flag decides whether tied weights are tied again on loading
        self.tie_word_embeddings = bool(getattr(self.text_config, "tie_word_embeddings", False))

    @property
    def language_width(self) -> int:
        """H: the width of the language model's embeddings."""
        return self.text_config.get_text_config().hidden_size

    @property
    def slots_per_modality(self) -> int:
        """S + Q: the positions that one modality takes in the sequence."""
        return self.soft_prompt + int(self.bridge.get("queries", 1))
