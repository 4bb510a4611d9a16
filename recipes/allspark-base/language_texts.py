"""The short texts whose meanings the language model learns from the teacher, and those kept for the figures."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from language_corpus import Corpus, is_held_out, sentences
from vocabulary import PARAPHRASES, phrases

HELD_OUT_SHARE = 40
TEXT_CHARACTERS = 220  # about the teacher's 48 tokens
CROSS_TEMPLATES = (
    "a satellite image of {x}", "an aerial photo of {x}", "a radar image of {x}", "a point cloud of {x}",
    "a GPS track of {x}", "a table about {x}", "a photo of {x}", "a map of {x}",
)  # fmt: skip


@dataclass
class Texts:
    """Texts to learn from, by how often they are worth seeing, and unseen ones by source."""

    train: list[str]
    held_out: dict[str, list[str]]


def snippets(source: str, rng: random.Random, count: int) -> list[str]:
    """A few runs of lines out of a program."""
    lines = source.splitlines()
    found = []
    for _ in range(count):
        start = rng.randrange(max(1, len(lines) - 3))
        text = "\n".join(lines[start : start + rng.randint(2, 8)]).strip()[:TEXT_CHARACTERS]
        if len(text) > 15:
            found.append(text)
    return found


def build_texts(corpus: Corpus, limit: int, seed: int = 0) -> Texts:
    """Collect the distillation texts.

    Args:
        corpus: what `read_corpus` returned.
        limit: most texts in the training list; names and captions come first, dictionary and sentences are sampled.
        seed: of the sampling.

    Returns:
        Unique training texts and the held-out ones ("gloss", "caption", "sentence"). A held-out WordNet meaning is kept
        out with its names; a name that another meaning shares may still be learnt from that one.
    """
    rng = random.Random(seed)
    reserved = {words for group in PARAPHRASES.values() for words in group}
    first = phrases()
    unique = list(dict.fromkeys(caption for _, caption in corpus.captions))
    captions = [caption for caption in unique if not is_held_out(caption, HELD_OUT_SHARE)]
    held_captions = [caption for caption in unique if is_held_out(caption, HELD_OUT_SHARE)]
    glosses, lemmas, held_glosses = [], [], []
    for synset in corpus.synsets:
        text = f"{synset.lemmas[0]}: {synset.gloss}"[:TEXT_CHARACTERS]
        if is_held_out(synset.gloss):
            held_glosses.append(synset.gloss[:TEXT_CHARACTERS])
            continue
        glosses.append(text if rng.random() < 0.6 else synset.gloss[:TEXT_CHARACTERS])
        lemmas += [lemma for lemma in synset.lemmas if synset.kind == "noun" or rng.random() < 0.3]
    prose, held_prose = (
        [s for source in ("books", "factbook") for text in documents.get(source, []) for s in sentences(text)]
        for documents in (corpus.train, corpus.held_out)
    )
    code = [piece for source in corpus.train.get("code", []) for piece in snippets(source, rng, 2)]
    questions = corpus.train.get("questions", [])
    lemmas = [name for name in dict.fromkeys(lemmas) if len(name) > 1]
    framed = [rng.choice(CROSS_TEMPLATES).format(x=name) for name in rng.sample(lemmas, min(len(lemmas), limit // 20))]

    def some(items: list[str], share: float) -> list[str]:
        return rng.sample(items, min(len(items), int(limit * share)))

    chosen = first + questions + some(captions, 0.16) + some(glosses, 0.36) + some(lemmas, 0.24)
    chosen += some(prose, 0.12) + framed + some(code, 0.04)
    seen = {re.sub(r"\s+", " ", t) for t in reserved | set(held_captions) | set(held_glosses) | set(held_prose)}
    train = [text for text in dict.fromkeys(chosen) if text.strip() and text not in seen]
    return Texts(train[:limit], {"caption": held_captions, "gloss": held_glosses, "sentence": held_prose})
