"""Stage 1 of allspark-base, by one command: tokenizer, teacher's vectors, language model, figures.

python recipes/allspark-base/language_stage.py --data ../shared/data --teacher TEACHER --out runs/base/language

Every sub-stage is skipped where its output stands; a training that was cut off goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent))

from language_corpus import Corpus, is_held_out, read_corpus
from language_figures import caption_figures, label_figures, prediction_figures, similarity_figures
from language_start import distil_static, fit_head, log_frequencies, start_from_teacher
from language_texts import Texts, build_texts
from language_tokenizer import make_tokenizer, sample_lines
from language_train import SOURCE_SHARES, PackedTokens, Settings, build_model, train
from language_vectors import Teacher, cached_vectors, text_vectors

CHARACTERS = {  # of each source, for the tokenizer
    "books": 9_000_000,
    "factbook": 2_500_000,
    "captions": 800_000,
    "code": 2_800_000,
    "dictionary": 3_000_000,
    "questions": 100_000,
}


def token_streams(tokenizer: Any, documents: dict[str, list[str]], path: Path) -> dict[str, Tensor]:
    """Each source as one run of ids, documents between bos and eos; kept in `path`."""
    if path.is_file():
        return load_file(path)
    streams = {}
    for source, texts in documents.items():
        ids: list[int] = []
        for start in range(0, len(texts), 1000):
            for one in tokenizer(texts[start : start + 1000], add_special_tokens=False, verbose=False)["input_ids"]:
                ids += [tokenizer.bos_token_id, *one, tokenizer.eos_token_id]
        streams[source] = torch.tensor(ids, dtype=torch.int32)
    temporary = path.with_suffix(".tmp")
    save_file(streams, temporary)
    temporary.rename(path)
    return streams


def stored_texts(corpus: Corpus, limit: int, seed: int, path: Path) -> Texts:
    """The distillation texts, chosen once."""
    if path.is_file():
        return Texts(**json.loads(path.read_text()))
    texts = build_texts(corpus, limit, seed)
    path.write_text(json.dumps({"train": texts.train, "held_out": texts.held_out}))
    return texts


def figures(model: Any, tokenizer: Any, teacher: Teacher, texts: Texts, corpus: Corpus) -> dict[str, Any]:
    """All held-out figures."""

    def ours(some: list[str]) -> Tensor:
        return text_vectors(model, tokenizer, some)

    found: dict[str, Any] = {}
    unseen: list[str] = []
    for kind, items in texts.held_out.items():
        some = random.Random(1).sample(items, min(len(items), 700))
        if len(some) > 20:
            found[f"similarity_{kind}"] = similarity_figures(ours(some), teacher.vectors(some))
            unseen += some
    if unseen:
        found["similarity_all"] = similarity_figures(ours(unseen), teacher.vectors(unseen))
    found["paraphrased_names"] = label_figures(ours, teacher.vectors)
    seen = set(texts.train)
    captions = [(name, words) for name, words in corpus.captions if name and is_held_out(words) and words not in seen]
    found["captions_to_scenes"] = caption_figures(ours, teacher.vectors, list(dict.fromkeys(captions)))
    for source, documents in corpus.held_out.items():
        found[f"prediction_{source}"] = prediction_figures(model, tokenizer, documents)
    return found


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with language/ and code/")
    parser.add_argument("--teacher", type=Path, required=True, help="mean-pooled BERT, sentence-transformers' layout")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--minutes", type=float, default=25.0, help="training time")
    parser.add_argument("--static-minutes", type=float, default=2.0, help="embeddings alone, before that")
    parser.add_argument("--texts", type=int, default=170_000, help="most texts to distil from")
    parser.add_argument("--vocabulary", type=int, default=16_000)
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--feed-forward", type=int, default=1024)
    parser.add_argument("--tied", action="store_true", help="no head of its own: 12 MB less, hardly a language model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run what is missing of stage 1; returns the figures."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    args = parse(arguments)
    torch.set_num_threads(args.threads)
    work = args.out / "work"
    work.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(args.data, args.wordnet, args.seed)
    if not (args.out / "tokenizer.json").is_file():
        make_tokenizer(sample_lines(corpus.train, CHARACTERS, args.seed), args.out, args.vocabulary, args.threads)
    tokenizer = AutoTokenizer.from_pretrained(args.out)
    print(f"tokenizer: {len(tokenizer)} pieces", flush=True)
    texts = stored_texts(corpus, args.texts, args.seed, work / "texts.json")
    targets = cached_vectors(args.teacher, texts.train, work / "teacher.safetensors")
    print(f"teacher: {len(targets)} texts", flush=True)
    if not (args.out / "model.safetensors").is_file():
        settings = Settings(
            minutes=args.minutes,
            seed=args.seed,
            hidden=args.hidden,
            layers=args.layers,
            heads=args.heads,
            feed_forward=args.feed_forward,
            tied=args.tied,
        )
        streams = token_streams(tokenizer, corpus.train, work / "tokens.safetensors")
        print({name: len(ids) for name, ids in streams.items()}, flush=True)
        model = build_model(tokenizer, settings)
        ids = tokenizer(texts.train, add_special_tokens=False)["input_ids"]
        if not (work / "checkpoint.safetensors").is_file():
            frequencies = log_frequencies(streams, SOURCE_SHARES, len(tokenizer))
            rows = start_from_teacher(model, tokenizer, Teacher(args.teacher), frequencies, targets)
            print(f"embeddings: {rows} of {len(tokenizer)} rows from the teacher", flush=True)
            cosine = distil_static(model, ids, targets, 60 * args.static_minutes)
            print(f"static embeddings: cosine {cosine:.3f} to the teacher", flush=True)
            if settings.tied:
                loss = fit_head(model, PackedTokens(streams, settings.length, args.seed).batch(0, 16))
                print(f"tied head at the start: {loss:.2f} nats a token", flush=True)
            model.save_pretrained(work / "static")
        train(model, ids, targets, streams, settings, work, tokenizer.pad_token_id)
        model.save_pretrained(args.out)
    if not (args.out / "figures.json").is_file():
        trained = AutoModelForCausalLM.from_pretrained(args.out, dtype=torch.float32)
        found = figures(trained, tokenizer, Teacher(args.teacher), texts, corpus)
        (args.out / "figures.json").write_text(json.dumps(found, indent=1))
    found = json.loads((args.out / "figures.json").read_text())
    for name, values in found.items():
        print(name, {key: round(value, 3) for key, value in values.items()})
    return found


if __name__ == "__main__":
    main()
