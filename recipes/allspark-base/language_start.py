"""What the embeddings of stage 1 begin with: the teacher's vectors of the pieces, then a static distillation.

While every residual branch of the model is zero, its vector of a text is the mean of its tokens' embeddings, each
scaled to one length: a static embedding (as in Model2Vec). Training the embeddings alone in this form costs a hundredth
of a step of the whole model, so most of what single words mean is learnt here.

One direction in which the teacher's vectors hardly vary holds the logarithm of each piece's frequency. It serves twice:
the tied language-model head starts as a unigram model, and frequent pieces ("the", "of") point there, away from all
meanings, which weighs them down in the mean as inverse frequency weights do.
"""

from __future__ import annotations

import random
import time
from typing import Any

import torch
import torch.nn.functional as F
from language_tokenizer import SPACE
from language_vectors import Teacher
from torch import Tensor

ROW = 0.35  # length of an embedding's meaning; a piece's own logit is then about 5 at the start
FREQUENCY = 0.07  # length per unit of log-frequency
STREAM = 8.0  # mean length of a row once trained: well above what the blocks add in their first hundred steps


def log_frequencies(streams: dict[str, Tensor], shares: dict[str, float], size: int) -> Tensor:
    """Natural logarithm of each piece's share (V,), sources weighted as in training, a little added to each count."""
    counts = torch.zeros(size)
    for name, ids in streams.items():
        each = torch.bincount(ids.long(), minlength=size).float()
        counts += shares.get(name, 0.1) * each / each.sum()
    return (counts / counts.sum() + 3e-7).log()


def start_from_teacher(model: Any, tokenizer: Any, teacher: Teacher, frequencies: Tensor, targets: Tensor) -> int:
    """Put the teacher's vector of every piece's words, centred, and the piece's frequency into its embedding row.

    Args:
        model: its hidden size H must be the teacher's width.
        tokenizer: V pieces.
        teacher: the sentence encoder.
        frequencies: (V,) log-frequencies.
        targets: (N, H) teacher's vectors of many texts, to find the direction that holds the frequencies.

    Returns:
        How many rows have a teacher's vector; specials, bytes and pieces of spaces alone start at random.

    Raises:
        ValueError: hidden size and width differ.
    """
    if model.config.hidden_size != teacher.width:
        raise ValueError(
            f"the model is {model.config.hidden_size} wide, the teacher {teacher.width}: give --hidden {teacher.width}"
        )
    rows, words = [], []
    for row, piece in enumerate(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))):
        text = piece.replace(SPACE, " ").strip()
        if text and not (text.startswith("<") and text.endswith(">") and len(text) > 2):
            rows.append(row)
            words.append(text)
    vectors = teacher.vectors(words)
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(len(tokenizer), teacher.width, generator=generator) * 0.3
    weight[torch.tensor(rows)] = F.normalize(vectors - vectors.mean(0), dim=-1)
    sample = targets[:: max(1, len(targets) // 40_000)].float()
    quiet = torch.linalg.eigh(sample.T @ sample).eigenvectors[:, 0]
    weight = (weight - (weight @ quiet)[:, None] * quiet) * ROW
    weight += (FREQUENCY * (frequencies - frequencies.quantile(0.1)).clamp_min(0))[:, None] * quiet
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(weight)
    return len(rows)


def distil_static(
    model: Any, texts: list[list[int]], targets: Tensor, seconds: float, learning_rate: float = 1e-3, batch: int = 512
) -> float:
    """Train the embeddings alone, as a mean of rows of one length, for so many seconds.

    Args:
        model: fresh, with residual branches at zero; its embeddings change.
        texts: token ids, N lists.
        targets: (N, H) the teacher's vectors.
        seconds: the budget; the learning rate falls to nothing over it.
        learning_rate: of Adam, at the start.
        batch: texts in a step.

    Returns:
        The mean cosine to the teacher over the last hundred steps.
    """
    weight = model.model.embed_tokens.weight.detach().clone().requires_grad_(True)
    optimiser = torch.optim.Adam([weight], lr=learning_rate, betas=(0.9, 0.99), fused=True)
    rng, began, cosines = random.Random(0), time.monotonic(), [0.0]
    while (spent := (time.monotonic() - began) / seconds) < 1:
        optimiser.param_groups[0]["lr"] = learning_rate * (1 - spent)
        chosen = torch.tensor([rng.randrange(len(texts)) for _ in range(batch)])
        lists = [texts[i] for i in chosen.tolist()]
        flat = torch.tensor([one for ids in lists for one in ids])
        owner = torch.repeat_interleave(torch.arange(batch), torch.tensor([len(ids) for ids in lists]))
        tokens = F.normalize(weight[flat], dim=-1)
        student = F.normalize(torch.zeros(batch, weight.shape[1]).index_add(0, owner, tokens), dim=-1)
        loss = 1 - (student * F.normalize(targets[chosen].float(), dim=-1)).sum(-1).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        cosines.append(1 - float(loss.detach()))
    with torch.no_grad():  # every norm takes the common length out again: see `fit_head` for the head
        model.model.embed_tokens.weight.copy_(weight * (STREAM / weight.norm(dim=1).mean()))
    print(f"static distillation: {len(cosines) - 1} steps", flush=True)
    recent = cosines[-100:]
    return sum(recent) / len(recent)


@torch.inference_mode()
def fit_head(model: Any, window: Tensor) -> float:
    """Set the final norm's weight to the one number with which the tied head predicts best; no text vector changes.

    Long embeddings keep the residual stream from being drowned by blocks that start at zero and learn at Adam's pace;
    the final norm makes up for their length in the head.

    Args:
        model: with embeddings ready and residual branches at zero.
        window: (B, L + 1) token ids.

    Returns:
        The next-token loss with it, nats.
    """
    best = (float("inf"), 1.0)
    model.model.norm.weight.fill_(1.0)
    hidden = model.model(input_ids=window[:, :-1], use_cache=False).last_hidden_state
    for scale in torch.logspace(-3, 0, 13).tolist():
        logits = model.lm_head(hidden * scale)
        best = min(best, (float(F.cross_entropy(logits.flatten(0, 1), window[:, 1:].flatten())), scale))
    model.model.norm.weight.fill_(best[1])
    return best[0]
