"""Models made new, from a preset and a language model of any family, or read back from a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from . import modality as modalities
from .config import AllSparkConfig
from .model import AllSparkModel
from .presets import PRESETS, find, merged
from .processor import AllSparkProcessor

Settings = Mapping[str, Mapping[str, Any]]


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of 256 bytes and four marks: nothing to train, nothing to download; for tests and small models."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    marks = ["<pad>", "<s>", "</s>", "<unk>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({word: i for i, word in enumerate(marks + alphabet)}, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def language_parts(preset: Mapping[str, Any], language: Any, tokenizer: Any) -> tuple[Any, Any, dict | None]:
    """(text config, tokenizer, weights or None) of the language model that is asked for."""
    if language is None:
        settings = dict(preset["language"])
        return AutoConfig.for_model(settings.pop("model_type"), **settings), tokenizer or byte_tokenizer(), None
    if isinstance(language, PreTrainedModel):
        if tokenizer is None:
            raise ValueError("a loaded language model came without its tokenizer; give tokenizer= too")
        return language.config, tokenizer, language.state_dict()
    where = os.fspath(language)
    with no_bars():
        loaded = AutoModelForCausalLM.from_pretrained(where, dtype=torch.float32, use_safetensors=True)
    return loaded.config, tokenizer or AutoTokenizer.from_pretrained(where), loaded.state_dict()


def build_parts(
    preset: str,
    *,
    language: Any,
    tokenizer: Any,
    modality: Sequence[str] | None,
    encoders: Settings,
    inputs: Settings,
    heads: Settings,
    seed: int,
) -> tuple[AllSparkModel, AllSparkProcessor]:
    """Model and processor; see ``allspark.build`` for the arguments.

    Raises:
        ValueError: an unknown preset or modality.
    """
    if preset not in PRESETS:
        raise ValueError(f"there is no preset {preset!r}; wanted one of {', '.join(PRESETS)}")
    chosen = PRESETS[preset]
    names = list(modality) if modality is not None else modalities.names()
    records = {name: modalities.get(name) for name in names}
    text_config, tokenizer, weights = language_parts(chosen, language, tokenizer)
    width = text_config.get_text_config().hidden_size
    changed = merged(chosen, "encoders", encoders)
    configs: dict[str, dict[str, Any]] = {}
    for name, record in records.items():
        if record.encoder is not None:
            configs[name] = {**record.config, **changed.get(name, {})}
            if "language_width" in configs[name]:
                configs[name]["language_width"] = width
    config = AllSparkConfig(
        text_config=text_config,
        modalities=names,
        encoders=configs,
        bridge=dict(chosen["bridge"]),
        soft_prompt=chosen["soft_prompt"],
        heads={name: dict(head) for name, head in heads.items()},
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AllSparkModel(config)
        if weights is not None:
            model.language.load_state_dict(weights)
            rms = float(model.language.get_input_embeddings().weight.detach().float().std())
            for part in (*model.bridges.values(), model.prompts):
                part.set_loudness(rms)  # type: ignore[operator]
    settings = merged(chosen, "inputs", inputs)
    for name, encoder in model.encoders.items():
        record = records[name]
        if record.input_for is not None:
            settings[name] = {**record.input_for(configs[name]), **settings.get(name, {})}
        if record.pretrained is not None:
            config.encoders[name] = record.pretrained(encoder, configs[name])
    processor = AllSparkProcessor.for_config(
        tokenizer, config, **{name: value for name, value in settings.items() if name in records}
    )
    return model.eval(), processor


def load_parts(name: str, dtype: torch.dtype) -> tuple[AllSparkModel, AllSparkProcessor]:
    """Model and processor of a shipped name or a folder; see ``allspark.load`` for the errors."""
    folder = find(name)
    with no_bars():
        loaded: Any = AllSparkModel.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
        model, report = loaded
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if missing or unexpected:
        raise ValueError(
            f"{folder}: the weights do not fit config.json ({len(missing)} missing, as {missing[:2]}; "
            f"{len(unexpected)} unknown, as {unexpected[:2]}); save the model again"
        )
    for module in model.modules():  # counters come back as views of the mapped file, and would keep all of it in memory
        for name, buffer in module.named_buffers(recurse=False):
            if not buffer.is_floating_point():
                module.register_buffer(name, buffer.clone(), name not in module._non_persistent_buffers_set)
    return model, AllSparkProcessor.from_pretrained(folder, local_files_only=True)


@contextmanager
def no_bars() -> Iterator[None]:
    """Without transformers' progress bars and load reports: what is wrong is said in one sentence of ours."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()
