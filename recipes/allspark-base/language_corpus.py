"""The words that stage 1 reads: books, encyclopedia, captions, questions, programs and a dictionary, in place.

Every reader takes the data folder (or the WordNet folder) and yields plain strings. Nothing is unpacked to disk.
Test sets stay out: no GitHub Linguist samples, no 20 Newsgroups, no TR-News, no RSICD test captions, no POJ-104 problem
above 64.
"""

from __future__ import annotations

import html
import io
import json
import random
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HELD_OUT_SHARE = 40  # one document in so many is kept for the figures
POJ_TRAIN_PROBLEMS = range(1, 65)  # CodeXGLUE's training problems; 65..104 are somebody's test
POJ_PER_PROBLEM = 60
BOOK_CHARACTERS = 150_000  # from each book: 119 books of one length, rather than three long ones


@dataclass
class Synset:
    """One WordNet meaning."""

    lemmas: list[str]
    gloss: str
    kind: str  # noun, verb, adj, adv


@dataclass
class Corpus:
    """Documents by source, and those held back from every training, both as plain text."""

    train: dict[str, list[str]] = field(default_factory=dict)
    held_out: dict[str, list[str]] = field(default_factory=dict)
    captions: list[tuple[str, str]] = field(default_factory=list)  # (scene class, caption)
    synsets: list[Synset] = field(default_factory=list)


def is_held_out(key: str, share: int = HELD_OUT_SHARE) -> bool:
    """A split that depends on the words alone: the same on every machine and for every order of reading."""
    return zlib.crc32(key.encode()) % share == 0


def unwrap(text: str) -> str:
    """Markdown to plain paragraphs: line breaks inside a paragraph become spaces, markers go."""
    paragraphs = []
    for block in re.split(r"\n\s*\n", text):
        line = re.sub(r"\s+", " ", re.sub(r"[*_#>`|\\]+", "", block)).strip()
        if len(line) > 20:
            paragraphs.append(line)
    return "\n".join(paragraphs)


def sentences(text: str) -> Iterator[str]:
    """Sentences of 20 to 220 characters, by punctuation alone."""
    for line in text.splitlines():
        for sentence in re.split(r"(?<=[.!?;])\s+(?=[\"'A-Z(])", line):
            if 20 <= len(sentence) <= 220:
                yield sentence.strip()


def books(data: Path) -> Iterator[tuple[str, str]]:
    """(title, text) of the middle part of each book: licences and contents stand at the ends."""
    with tarfile.open(data / "language" / "classic_books_md.tar.xz") as archive:
        for member in archive:
            handle = archive.extractfile(member) if member.isfile() and member.name.endswith(".md") else None
            if handle is None:
                continue
            raw = handle.read().decode("utf-8", "ignore")
            start = max(0, (len(raw) - BOOK_CHARACTERS) // 2)
            yield Path(member.name).stem, unwrap(raw[start : start + BOOK_CHARACTERS])


def plain(markup: str) -> str:
    """Text of a short piece of HTML."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", markup))).strip()


def factbook(data: Path) -> Iterator[tuple[str, list[str]]]:
    """(place, lines) of every factbook entry; a line is 'Field: text'."""

    def walk(node: object, name: str, lines: list[str]) -> None:
        if isinstance(node, dict):
            words = node.get("text")
            if isinstance(words, str) and len(words) > 3:
                lines.append(f"{name}: {plain(words)}")
            for key, child in node.items():
                if key != "text":
                    walk(child, key, lines)

    with zipfile.ZipFile(data / "language" / "factbook.zip") as archive:
        for entry in sorted(archive.namelist()):
            if not entry.endswith(".json"):
                continue
            record = json.loads(archive.read(entry).decode("utf-8"))
            if not isinstance(record, dict):
                continue
            naming = record.get("Government", {}).get("Country name", {})
            place = naming.get("conventional short form", naming.get("conventional long form", {})).get("text", "")
            lines: list[str] = []
            walk(record, "", lines)
            if lines:
                yield plain(place) if place and place != "none" else "the region", lines


def captions(data: Path) -> list[tuple[str, str]]:
    """(scene class, caption) of RSICD's training part; the class is '' where the file name is a plain number."""
    with zipfile.ZipFile(data / "language" / "rsicd_captions.zip") as archive:
        words = archive.read("train_caps.txt").decode("utf-8").splitlines()
        names = archive.read("train_filename.txt").decode("utf-8").split()
    found = []
    for index, caption in enumerate(words):
        stem = Path(names[min(index // 5, len(names) - 1)]).stem.rsplit("_", 1)[0]
        found.append(("" if stem.isdigit() else stem, re.sub(r"\s+", " ", caption).strip().removesuffix(" .")))
    return found


def geographic_questions(data: Path) -> list[str]:
    """GeoQuery's training questions, their variables filled in."""
    with zipfile.ZipFile(data / "language" / "geoquery.zip") as archive:
        records = json.loads(archive.read("geography.json"))
    found = []
    for record in records:
        for sentence in record["sentences"]:
            words = sentence["text"]
            for name, value in sentence["variables"].items():
                words = words.replace(name, value)
            if sentence.get("question-split") == "train":
                found.append(words)
    return found


def scripts(data: Path) -> Iterator[tuple[str, str]]:
    """(name, source) of the Earth Engine samples in JavaScript."""
    with tarfile.open(data / "code" / "earthengine_apidocs_js.tar.gz") as archive:
        for member in archive:
            handle = archive.extractfile(member) if member.isfile() and member.name.endswith(".js") else None
            if handle is not None:
                source = handle.read().decode("utf-8", "ignore")
                yield Path(member.name).stem, re.sub(r"\A/\*.*?\*/\s*", "", source, flags=re.DOTALL)  # licence header


def programs(data: Path) -> Iterator[tuple[int, str]]:
    """(problem, source) of POJ-104's training problems, the first few of each."""
    taken: dict[int, int] = {}
    with zipfile.ZipFile(data / "code" / "poj104.zip") as outer:
        inner = outer.read(next(name for name in outer.namelist() if name.endswith(".tar.gz")))
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        for member in archive:
            match = re.search(r"(\d+)/[^/]+\.cpp$", member.name)
            problem = int(match.group(1)) if match else 0
            if problem not in POJ_TRAIN_PROBLEMS or taken.get(problem, 0) >= POJ_PER_PROBLEM:
                continue
            handle = archive.extractfile(member)
            if handle is not None:
                taken[problem] = taken.get(problem, 0) + 1
                yield problem, handle.read().decode("utf-8", "ignore").replace("\r\n", "\n")


def wordnet(folder: Path) -> list[Synset]:
    """Every meaning of WordNet's data files (format: wndb(5WN))."""
    found = []
    for kind in ("noun", "verb", "adj", "adv"):
        for line in (folder / f"data.{kind}").read_text(encoding="utf-8", errors="ignore").splitlines():
            if line.startswith(" ") or "|" not in line:  # the licence stands at the head, indented
                continue
            head, gloss = line.split("|", 1)
            fields = head.split()
            count = int(fields[3], 16)
            lemmas = [re.sub(r"\(\w+\)$", "", fields[4 + 2 * i]).replace("_", " ") for i in range(count)]
            found.append(Synset(lemmas, gloss.split('; "')[0].strip(), kind))
    return found


def read_corpus(data: Path, wordnet_folder: Path, seed: int = 0) -> Corpus:
    """Read all sources and hold one document in forty back.

    Args:
        data: the data folder, with `language/` and `code/`.
        wordnet_folder: folder with data.noun and the others; without it the dictionary is left out, with a notice.
        seed: order of the documents within a source.
    """
    corpus = Corpus()

    def add(source: str, key: str, text: str, share: int = HELD_OUT_SHARE) -> None:
        side = corpus.held_out if is_held_out(key, share) else corpus.train
        side.setdefault(source, []).append(text)

    for title, text in books(data):
        add("books", title, text)
    for place, lines in factbook(data):
        add("factbook", place + lines[0][:80], f"{place}\n" + "\n".join(lines))
    corpus.captions = captions(data)
    for index in range(0, len(corpus.captions), 5):
        words = "\n".join(caption for _, caption in corpus.captions[index : index + 5])
        add("captions", words, words)
    for question in geographic_questions(data):
        add("questions", question, question)
    for name, source in scripts(data):
        add("code", name, source, 20)
    for problem, source in programs(data):
        add("code", f"problem {problem}", source, 20)
    if (wordnet_folder / "data.noun").is_file():
        corpus.synsets = wordnet(wordnet_folder)
        for synset in corpus.synsets:
            add("dictionary", synset.gloss, f"{synset.lemmas[0]}: {synset.gloss}")
    else:
        print(f"no WordNet in {wordnet_folder}: stage 1 goes on without its names and glosses (Debian: wordnet-base)")
    for documents in corpus.train.values():
        random.Random(seed).shuffle(documents)
    return corpus
