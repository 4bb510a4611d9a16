"""The tokenizer of stage 1: a SentencePiece unigram model, saved as tokenizer.model and as a fast tokenizer.json.

Unigram segmentation: Kudo, ACL 2018. Bytes stand in for characters outside the vocabulary, digits stand alone, and
spaces, tabs and line breaks are kept as they are, because code needs them: decode(encode(text)) == text.
"""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

SPACE = "▁"
WHITESPACE = ["\n", "\t", SPACE * 2, SPACE * 4, SPACE * 8]
SPECIAL = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}  # ids 0 to 3
LETTERS = "".join(map(chr, range(0xC0, 0x100))) + "ĀāĂăĄąĆćČčĎďĐđĒēĖėĘęĚěĞğĢģĪīĮįİıŁłŃńŇňŌōŐőŒœŘřŚśŞşŠšŢţŤťŪūŮůŰűŹźŻżŽž"
SIGNS = "°±²³µ×÷·§©«»–—‘’“”…′″€£≤≥≈≠−∑√∞αβγδεθλμπρσφωΔΩ→"
MAX_LINE = 2_000  # characters; the trainer's cost grows with the longest line


def sample_lines(documents: dict[str, list[str]], characters: dict[str, int], seed: int = 0) -> Iterator[str]:
    """Lines for the trainer: so many characters of each source, from whole documents in random order."""
    for source, budget in characters.items():
        texts = list(documents.get(source, []))
        random.Random(seed).shuffle(texts)
        left = budget
        for text in texts:
            if left <= 0:
                break
            left -= len(text)
            for line in text.splitlines():
                if line.strip():
                    yield line[:MAX_LINE].rstrip()


def train_pieces(lines: Iterable[str], size: int, threads: int = 2) -> bytes:
    """Train the unigram model.

    Args:
        lines: training lines.
        size: pieces in all, bytes and specials included.
        threads: of the trainer.

    Returns:
        The serialised SentencePiece model: what tokenizer.model holds.
    """
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=out,
        model_type="unigram",
        vocab_size=size,
        hard_vocab_limit=False,
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",  # what goes in comes out
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        add_dummy_prefix=True,  # "forest" is the same piece alone and within a sentence
        user_defined_symbols=WHITESPACE,
        required_chars=LETTERS + SIGNS,  # names of places and signs of measurement
        character_coverage=0.9995,
        max_sentencepiece_length=16,
        pad_id=0,
        unk_id=1,
        bos_id=2,
        eos_id=3,
        num_threads=threads,
        minloglevel=2,
    )
    return out.getvalue()


def to_fast(model: bytes) -> PreTrainedTokenizerFast:
    """The fast tokenizer with the pieces and scores of a SentencePiece model.

    Llama's own chain: a space before the text, spaces as "▁", no pre-tokenizer; back: bytes fused, first space gone.
    """
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
    vocabulary = [(pieces.id_to_piece(i), pieces.get_score(i)) for i in range(pieces.get_piece_size())]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=pieces.unk_id(), byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="left",  # the answer follows the prompt without a gap
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
        **SPECIAL,
    )


def roundtrip_failures(tokenizer: PreTrainedTokenizerFast, texts: Iterable[str]) -> list[str]:
    """The texts that do not come back as they went in."""
    failures = []
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if tokenizer.decode(ids, skip_special_tokens=True) != text:
            failures.append(text)
    return failures


ROUNDTRIP = (
    "forest",
    " a space before, two  within, one after ",
    "def area(r):\n    if r < 0:\n        raise ValueError('r')\n\treturn 3.14159 * r ** 2\n",
    "Ørsted, Łódź, São Paulo, 東京, Αθήνα, Москва, القاهرة: 48°51′N 2°21′E ± 0.5 µm ≥ −12.3 dB 🛰️",
    "int main(){\n  for(int i=0;i<n;i++)\n    a[i]+=1;\n}",
    "\n\n        eight spaces",
)


def make_tokenizer(lines: Iterable[str], folder: Path, size: int = 16_000, threads: int = 2) -> PreTrainedTokenizerFast:
    """Train, check and save the tokenizer into `folder` (tokenizer.json, tokenizer_config.json, tokenizer.model).

    Raises:
        ValueError: some text of `ROUNDTRIP` does not come back unchanged.
    """
    model = train_pieces(lines, size, threads)
    tokenizer = to_fast(model)
    failures = roundtrip_failures(tokenizer, ROUNDTRIP)
    if failures:
        raise ValueError(f"these texts do not survive encode and decode: {failures!r}; check normaliser and decoder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model)
    tokenizer.save_pretrained(folder)
    return tokenizer
