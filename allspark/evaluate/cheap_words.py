"""Cheap features of words, programs and tables: TF-IDF and raw columns. No model, no label."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..items import Code, Table, Text
from .cheap_images import standardise

HASHES = 2**16  # columns of each hashed vocabulary
WIDTH = 256  # after reduction
CHARACTERS = 20_000  # of a text that are looked at
CATEGORIES = 32  # one-hot columns of a column of words; rarer ones share none


def reduced(matrix: Any, width: int = WIDTH) -> np.ndarray:
    """(N, V) sparse or dense -> (N, at most ``width``) float32: truncated singular value decomposition, no labels.

    The eigenvectors of the (N, N) inner products are what is wanted, and N is far below the vocabulary's size.
    """
    from scipy.linalg import eigh

    products = matrix @ matrix.T
    dense = products.toarray() if hasattr(products, "toarray") else products
    count = len(dense)
    values, vectors = eigh(dense, subset_by_index=(max(0, count - width), count - 1))
    kept = values > 1e-9 * max(float(values[-1]), 1e-12)
    if not kept.any():
        return np.zeros((count, 1), np.float32)
    return (vectors[:, kept] * np.sqrt(values[kept]))[:, ::-1].astype(np.float32)


def tfidf(texts: Sequence[str], token: str) -> np.ndarray:
    """Hashed words, word pairs and characters (2 to 4), weighted by inverse document frequency, then truncated SVD.

    Args:
        texts: N; frequencies are counted over them without labels.
        token: the regular expression of a word.

    Returns:
        (N, at most 256) float32.
    """
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    texts = [text[:CHARACTERS] for text in texts]
    views = []
    for options in (
        {"token_pattern": token, "ngram_range": (1, 2)},
        {"analyzer": "char_wb", "ngram_range": (2, 4)},
    ):
        hashed = HashingVectorizer(n_features=HASHES, alternate_sign=False, norm=None, **options).transform(texts)
        views.append(TfidfTransformer(sublinear_tf=True).fit_transform(hashed))
    return reduced(hstack(views).tocsr())


def text_tfidf(items: Sequence[Text]) -> np.ndarray:
    """`tfidf` of N texts -> (N, at most 256)."""
    return tfidf([item.words for item in items], r"(?u)\b\w+\b")


def code_tfidf(items: Sequence[Code]) -> np.ndarray:
    """`tfidf` of N programs -> (N, at most 256); punctuation counts as words."""
    return tfidf([item.source for item in items], r"(?u)\w+|[^\w\s]")


def raw_columns(items: Sequence[Table]) -> np.ndarray:
    """Standardised numbers, dates as year and season, the 32 commonest categories of each column one-hot.

    A missing number becomes the column's mean; a column with missing cells has one that says so.

    Args:
        items: N tables of one row each; a column that a table lacks is missing in it.

    Returns:
        (N, D) float32.
    """
    import pandas as pd

    long = next((len(item) for item in items if len(item) != 1), None)
    if long is not None:
        raise ValueError(f"a table of {long} rows came; wanted one row per item; give table.rows()")
    names = list(dict.fromkeys(str(name) for item in items for name in item.frame.columns))
    records = [dict(zip(map(str, item.frame.columns), item.frame.iloc[0].tolist(), strict=True)) for item in items]
    columns: list[np.ndarray] = []
    for name in names:
        cells = [record.get(name) for record in records]
        missing = np.array([bool(pd.isna(cell)) for cell in cells])
        present = [cell for cell, gone in zip(cells, missing, strict=True) if not gone]
        if missing.any():
            columns.append(missing.astype(np.float64)[:, None])
        if not present:
            continue
        if all(isinstance(cell, numbers.Real | np.bool_) for cell in present):
            values = pd.Series(cells, dtype=object).where(~missing, np.nan).astype(np.float64)
            columns.append(_numbers(values.to_numpy()[:, None]))
        elif all(isinstance(cell, np.datetime64) or hasattr(cell, "timetuple") for cell in present):
            stamp = pd.to_datetime(pd.Series(cells), utc=True)
            season = 2 * np.pi * stamp.dt.day_of_year.to_numpy(np.float64) / 365.25
            year = stamp.dt.year.to_numpy(np.float64)
            columns.append(_numbers(np.stack([year, np.sin(season), np.cos(season)], 1)))
        else:
            words = ["" if gone else str(cell) for cell, gone in zip(cells, missing, strict=True)]
            counts = pd.Series([word for word, gone in zip(words, missing, strict=True) if not gone]).value_counts()
            common = sorted(counts.index[:CATEGORIES])
            columns.append(np.array([[float(word == one) for one in common] for word in words]))
    return standardise(np.concatenate(columns, 1))


def _numbers(columns: np.ndarray) -> np.ndarray:
    """NaN and infinity become the column's mean."""
    known = np.isfinite(columns)
    mean = np.where(known, columns, 0).sum(0) / np.maximum(known.sum(0), 1)
    return np.where(known, columns, mean)
