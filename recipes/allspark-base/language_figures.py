"""Held-out figures of stage 1: how near its space is to the teacher's, and how well it predicts words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from language_vectors import pad
from torch import Tensor
from vocabulary import NAMES, PARAPHRASES


def spearman(a: Tensor, b: Tensor) -> float:
    """Rank correlation of two 1-D tensors, ties by their mean rank."""
    from scipy.stats import spearmanr

    return float(spearmanr(a.numpy(), b.numpy()).statistic)


def spread_pairs(similarity: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pairs i < j that cover the range of similarities evenly.

    Args:
        similarity: (N, N) the teacher's cosines.
        count: pairs wanted; fewer come back where there are not enough.
        seed: of the choice.

    Returns:
        Two index tensors. Random pairs of sentences have nearly all the same low similarity; here every tenth of the
        range from -0.1 to 0.9 gives the same number of pairs.
    """
    rows, columns = torch.triu_indices(len(similarity), len(similarity), offset=1)
    values = similarity[rows, columns]
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for low in torch.linspace(-0.1, 0.8, 10):
        inside = torch.nonzero((values >= low) & (values < low + 0.1))[:, 0]
        chosen.append(inside[torch.randperm(len(inside), generator=generator)[: math.ceil(count / 10)]])
    picked = torch.cat(chosen)
    return rows[picked], columns[picked]


def similarity_figures(student: Tensor, teacher: Tensor, count: int = 2000, seed: int = 0) -> dict[str, float]:
    """Agreement on unseen texts, both (N, H): Spearman over spread and over random pairs, and the mean cosine."""
    ours, theirs = student @ student.T, teacher @ teacher.T
    i, j = spread_pairs(theirs, count, seed)
    generator = torch.Generator().manual_seed(seed)
    a, b = (torch.randint(0, len(student), (count,), generator=generator) for _ in range(2))
    keep = a != b
    return {
        "texts": float(len(student)),
        "pairs": float(len(i)),
        "spearman_spread_pairs": spearman(ours[i, j], theirs[i, j]),
        "spearman_random_pairs": spearman(ours[a[keep], b[keep]], theirs[a[keep], b[keep]]),
        "mean_cosine_to_teacher": float((student * teacher).sum(-1).mean()),
    }


def label_figures(ours: Any, theirs: Any) -> dict[str, float]:
    """Paraphrases of geographic names, never trained on: which name of the theme is nearest.

    Args:
        ours: texts -> (N, H) of the student.
        theirs: the same of the teacher.

    Returns:
        How often both choose the same name, and how often each chooses the name that was meant.
    """
    total = same = right = right_teacher = 0
    for theme, wanted in PARAPHRASES.items():
        labels = list(NAMES[theme])
        texts = list(wanted)
        mine = (ours(texts) @ ours(labels).T).argmax(1).tolist()
        his = (theirs(texts) @ theirs(labels).T).argmax(1).tolist()
        for text, a, b in zip(texts, mine, his, strict=True):
            total += 1
            same += a == b
            right += labels[a] == wanted[text]
            right_teacher += labels[b] == wanted[text]
    return {
        "paraphrases": float(total),
        "agreement": same / total,
        "student_accuracy": right / total,
        "teacher_accuracy": right_teacher / total,
    }


def caption_figures(ours: Any, theirs: Any, captions: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Unseen captions of aerial scenes against the names of all scene classes present, as `label_figures`.

    The class is what the picture was filed under; several captions fit more than one class.
    """
    if not captions:
        return {}
    classes = sorted({name for name, _ in captions})
    texts = [words for _, words in captions]
    mine = (ours(texts) @ ours(classes).T).argmax(1)
    his = (theirs(texts) @ theirs(classes).T).argmax(1)
    truth = torch.tensor([classes.index(name) for name, _ in captions])
    return {
        "captions": float(len(texts)),
        "classes": float(len(classes)),
        "agreement": float((mine == his).float().mean()),
        "student_accuracy": float((mine == truth).float().mean()),
        "teacher_accuracy": float((his == truth).float().mean()),
    }


@torch.inference_mode()
def prediction_figures(
    model: Any, tokenizer: Any, texts: Sequence[str], length: int = 256, characters: int = 120_000
) -> dict[str, float]:
    """Perplexity per token and bits per byte on unseen documents, in windows of `length` tokens without overlap.

    A document starts after bos; the context does not reach over a window's edge, so the figures are a little
    pessimistic.
    """
    model.eval()
    loss, tokens, size, left = 0.0, 0, 0, characters
    windows: list[list[int]] = []
    for text in texts:
        text = text[: min(left, 20_000)]
        if not text:
            break
        left -= len(text)
        size += len(text.encode())
        run = [tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]]
        windows += [run[i : i + length + 1] for i in range(0, len(run) - 1, length)]
    windows.sort(key=len)
    for start in range(0, len(windows), 8):
        ids, mask = pad(windows[start : start + 8], tokenizer.pad_token_id)
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()
        each = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        loss += float(each[mask[:, 1:].flatten()].sum())
        tokens += int(mask[:, 1:].sum())
    if not tokens:
        return {}
    return {
        "tokens": float(tokens),
        "bytes_per_token": size / tokens,
        "perplexity_per_token": math.exp(loss / tokens),
        "bits_per_byte": loss / math.log(2) / size,
    }
