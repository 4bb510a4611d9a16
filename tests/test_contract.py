"""Every modality of the package keeps the contract."""

from __future__ import annotations

import pytest

from allspark.modality import get, names, recognise
from allspark.testing import check_modality, made

TEN = (
    "code",
    "graph",
    "hyperspectral",
    "language",
    "multispectral",
    "point_cloud",
    "rgb",
    "sar",
    "table",
    "trajectory",
)


def test_there_are_ten():
    assert tuple(names()) == TEN


@pytest.mark.parametrize("name", TEN)
def test_contract(name):
    check_modality(name)


@pytest.mark.parametrize("name", TEN)
def test_made_items_are_recognised_and_repeat(name):
    items, labels = made(name, 6, classes=3, seed=3)
    assert [recognise(item).name for item in items] == [name] * 6
    assert labels == [0, 1, 2, 0, 1, 2]
    modality = get(name)
    again = made(name, 6, classes=3, seed=3)[0]
    first, second = (str(modality.prepare(i[5], **modality.input)) for i in (items, again))
    assert first == second


def test_unknown_modality_and_bad_class_count_are_refused():
    with pytest.raises(ValueError, match=r"radar.*point_cloud"):
        get("radar")
    with pytest.raises(ValueError, match=r"radar"):
        made("radar", 2)
    with pytest.raises(ValueError, match="2 or 3"):
        made("rgb", 2, classes=7)
