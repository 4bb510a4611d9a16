"""From texts to vectors: the teacher (a public sentence encoder) and the student (the language model of stage 1).

The student's vector of a text: the mean over the text's own tokens (no bos) of the last hidden state after the final
norm, L2-normalised, with the text alone in its sequence. allspark's model computes exactly this.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

TEACHER_TOKENS = 48  # longer texts are cut, for the teacher alone


def batches_by_length(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Indices, shortest texts first, in batches of at most `token_budget` tokens with padding."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > token_budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def pad(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Ids padded on the right and the mask of real tokens, both (B, L)."""
    longest = max(len(ids) for ids in sequences)
    ids = torch.full((len(sequences), longest), pad_id, dtype=torch.long)
    mask = torch.zeros(len(sequences), longest, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = True
    return ids, mask


def pooled(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of the real tokens, L2-normalised: hidden (B, L, H), mask (B, L) -> (B, H)."""
    weights = mask.to(torch.float32)[..., None]
    return F.normalize((hidden.float() * weights).sum(1) / weights.sum(1).clamp_min(1), dim=-1)


def student_batch(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Vectors (B, H) of right-padded texts.

    No attention mask is needed: under causal attention a token never sees the padding behind it, and `pooled` leaves
    the padding out.
    """
    return pooled(model.model(input_ids=ids, use_cache=False).last_hidden_state, mask)


@torch.inference_mode()
def text_vectors(model: Any, tokenizer: Any, texts: Sequence[str], token_budget: int = 4096) -> Tensor:
    """Vectors of texts in the language model's space.

    Args:
        model: a causal language model of Hugging Face whose base model is `.model`.
        tokenizer: its tokenizer.
        texts: N texts, none empty.
        token_budget: tokens in a batch.

    Returns:
        (N, H) float32, each of length 1.

    Raises:
        ValueError: a text holds no token.
    """
    sequences = tokenizer(list(texts), add_special_tokens=False, truncation=True, max_length=512)["input_ids"]
    if not all(sequences):
        raise ValueError("an empty text has no vector: give every text at least one character")
    training = model.training
    model.eval()
    out = torch.empty(len(sequences), model.config.hidden_size)
    for batch in batches_by_length([len(ids) for ids in sequences], token_budget):
        ids, mask = pad([sequences[i] for i in batch], tokenizer.pad_token_id)
        out[batch] = student_batch(model, ids, mask)
    model.train(training)
    return out


class Teacher:
    """A sentence encoder in sentence-transformers' layout, read as a plain Hugging Face BERT with mean pooling."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoTokenizer, BertModel

        pooling = folder / "1_Pooling" / "config.json"
        if pooling.is_file() and not json.loads(pooling.read_text()).get("pooling_mode_mean_tokens", False):
            raise ValueError(f"{pooling} asks for another pooling than the mean: choose a mean-pooled teacher")
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = BertModel.from_pretrained(folder, add_pooling_layer=False, use_safetensors=True).eval()

    @property
    def width(self) -> int:
        """Length of its vectors."""
        return int(self.model.config.hidden_size)

    @torch.inference_mode()
    def vectors(self, texts: Sequence[str], token_budget: int = 4096, report: bool = False) -> Tensor:
        """(N, H) float32 unit vectors of N texts, in bf16 arithmetic."""
        sequences = self.tokenizer(list(texts), truncation=True, max_length=TEACHER_TOKENS)["input_ids"]
        out = torch.empty(len(sequences), self.width)
        started, done, said = time.monotonic(), 0, time.monotonic()
        for batch in batches_by_length([len(ids) for ids in sequences], token_budget):
            ids, mask = pad([sequences[i] for i in batch], self.tokenizer.pad_token_id)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                hidden = self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
            out[batch] = pooled(hidden, mask)
            done += len(batch)
            if report and time.monotonic() - said > 20:
                said = time.monotonic()
                print(f"teacher: {done} of {len(texts)} texts in {said - started:.0f} s", flush=True)
        return out


def cached_vectors(teacher_folder: Path, texts: Sequence[str], path: Path) -> Tensor:
    """The teacher's vectors (N, H) in fp16, computed once and kept in `path` (safetensors)."""
    if path.is_file():
        vectors = load_file(path)["vectors"]
        if len(vectors) == len(texts):
            return vectors
        print(f"{path} holds {len(vectors)} vectors for {len(texts)} texts: computing them again")
    vectors = Teacher(teacher_folder).vectors(texts, report=True).half()
    temporary = path.with_suffix(".tmp")
    save_file({"vectors": vectors}, temporary)
    temporary.rename(path)
    return vectors
