from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest
import torch

from allspark.encoders.table import CATEGORY, DATE, MISSING, NUMBER, TableEncoder, beside, clean, collate, prepare
from allspark.items import Table
from allspark.testing import stand_in_words


@pytest.fixture
def table() -> Table:
    return Table(
        pd.DataFrame(
            {
                "temp_max": [12.5, 8.0, np.nan, 30.0],
                "weather": ["rain", "sun", None, "  heavy   snow "],
                "date": pd.to_datetime(["2012-01-01 00:00", "2012-07-01 00:00", None, "2013-01-01 12:30"]),
                "dry": [True, False, True, True],
                "count": [1, 2, 3, 4],
            }
        ),
        descriptions={"weather": "kind of weather"},
    )


def encode(encoder: TableEncoder, rows: list[Table]) -> list[torch.Tensor]:
    batch = stand_in_words(collate([prepare(row) for row in rows]), 32)
    with torch.no_grad():
        tokens = encoder(**batch)
    return [features[mask] for features, mask in zip(tokens.features, tokens.mask)]


@pytest.fixture
def encoder() -> TableEncoder:
    torch.manual_seed(0)
    return TableEncoder(width=32, depth=1, heads=2, language_width=32).eval()


def test_cells_have_kinds_names_and_words(table):
    samples = [prepare(row) for row in table.rows()]
    assert samples[0]["names"] == ["temp max", "kind of weather", "date", "dry", "count"]
    assert samples[0]["kinds"].tolist() == [NUMBER, CATEGORY, DATE, CATEGORY, NUMBER]
    assert samples[0]["texts"] == ["", "rain", "", "yes", ""]
    assert samples[2]["kinds"].tolist() == [MISSING, MISSING, MISSING, CATEGORY, NUMBER]
    assert samples[3]["texts"][1] == "heavy snow"


def test_numbers_mean_something_against_their_column(table):
    rows = [prepare(row)["numbers"] for row in table.rows()]
    median, spread = table.scales["temp_max"]
    assert float(rows[0][0, 2]) == pytest.approx((12.5 - median) / spread, rel=1e-5)
    alone = prepare(Table(pd.DataFrame({"temp_max": [12.5]})))["numbers"]
    assert alone[0, :3].tolist() == [0, 0, 0]  # no scale is known, and none is invented
    assert float(alone[0, 3]) == pytest.approx(np.arcsinh(12.5) / 5)


def test_dates_of_every_type_agree():
    values = [pd.Timestamp("2012-07-01"), datetime.datetime(2012, 7, 1), datetime.date(2012, 7, 1)]
    cells = [prepare(Table(pd.DataFrame({"d": pd.Series([v], dtype=object)}))) for v in values]
    for cell in cells:
        assert cell["kinds"].tolist() == [DATE]
        torch.testing.assert_close(cell["numbers"], cells[0]["numbers"])
    assert float(cells[0]["numbers"][0, 11]) == 0  # midnight: no hour is known


def test_order_of_columns_means_nothing_and_names_do(table, encoder):
    row = table[0]
    other = Table(row.frame[row.frame.columns[::-1]], row.descriptions, row.scales)
    renamed = Table(row.frame.rename(columns={"temp_max": "wind"}), row.descriptions, {"wind": row.scales["temp_max"]})
    a, b, c = encode(encoder, [row, other, renamed])
    torch.testing.assert_close(a[0], b[0], atol=1e-5, rtol=0)
    assert float((a[0] - c[0]).abs().max()) > 1e-4


def test_ragged_rows_do_not_disturb_each_other(table, encoder):
    short = Table(pd.DataFrame({"height": [3.0], "name": ["hill"]}))
    (alone,) = encode(encoder, [short])
    together, _ = encode(encoder, [short, table[0]])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


def test_values_words_and_dates_reach_the_answer(table, encoder):
    frame = table.frame
    changed = [
        frame.assign(temp_max=40.0),
        frame.assign(weather="fog"),
        frame.assign(date=pd.Timestamp("2012-05-05")),
        frame.assign(dry=False),
        frame.assign(temp_max=np.nan),
    ]
    rows = [Table(f.iloc[[0]], table.descriptions, table.scales) for f in (frame, *changed)]
    first, *rest = encode(encoder, rows)
    for answer in rest:
        assert float((first[0] - answer[0]).abs().max()) > 1e-5


def test_infinite_cells_are_missing_and_extreme_ones_finite():
    sample = prepare(Table(pd.DataFrame({"a": [np.inf], "b": [1e300], "c": [-5]}), scales={"b": (0.0, 1e-3)}))
    assert sample["kinds"].tolist() == [MISSING, NUMBER, NUMBER]
    assert torch.isfinite(sample["numbers"]).all()


def test_more_rows_than_one_are_refused(table):
    with pytest.raises(ValueError, match=r"4 rows.*rows\(\)"):
        prepare(table)


def test_names_are_cleaned():
    assert [clean(n) for n in ("temp_max", "meanWind", "a-b", "PM2.5", "__", "NDVI")] == [
        "temp max",
        "mean Wind",
        "a b",
        "PM2.5",
        "column",
        "NDVI",
    ]


def rows_like(**columns: list) -> list[Table]:
    return Table(pd.DataFrame(columns)).rows()


def sketches(rows: list[Table]) -> torch.Tensor:
    return beside(**stand_in_words(collate([prepare(row) for row in rows]), 32))


def test_a_sketch_tells_near_values_from_far_ones_in_each_column():
    heights = np.linspace(0, 100, 101)
    found = sketches(rows_like(height=heights.tolist(), kind=["grass", *["wood"] * 100], steady=[1.0] * 101))
    torch.testing.assert_close(found.norm(dim=1), torch.full((101,), 0.25))
    alike = 16 * found[1:] @ found[1:].T  # rows of wood; cosines
    near, middling, far = alike[0, 1], alike[0, 15], alike[0, 60]
    assert near > 0.98
    assert near > middling + 0.1 > far + 0.2
    assert alike[40, 41] > alike[40, 55] > alike[40, 99]  # by distance everywhere, not only at the ends
    assert 16 * found[0] @ found[1] < alike[0, 1] - 0.2  # another category is as far as another value


def test_a_sketch_goes_by_headers_and_not_by_places():
    one = Table(pd.DataFrame({"a": [1.0, 2.0, 5.0], "b": ["x", "y", "x"], "c": [None, 3.0, 4.0]}))
    other = Table(one.frame[["c", "a", "b"]])
    torch.testing.assert_close(sketches(one.rows()), sketches(other.rows()))
    renamed = Table(one.frame.rename(columns={"a": "c", "c": "a"}))
    assert ((sketches(one.rows()) - sketches(renamed.rows())).norm(dim=1) > 0.1).all()


def test_a_sketch_of_a_row_is_that_row_whatever_it_is_batched_with(table):
    wide = rows_like(**{f"column {i}": [float(i), 2.0, 3.0] for i in range(30)})
    together = sketches([*table.rows(), *wide])
    torch.testing.assert_close(together[: len(table)], sketches(table.rows()))
    assert torch.isfinite(together).all()


def test_dates_missing_cells_and_words_stand_in_a_sketch():
    days = sketches(rows_like(day=pd.to_datetime(["2020-01-05", "2020-01-12", "2020-07-05"])))
    found = 16 * days @ days.T
    assert found[0, 1] > found[0, 2] + 0.1  # a week apart, half a year apart
    cells = sketches(rows_like(kind=["grass", "wood", None, "wood"], steady=[1.0] * 4))
    alike = 16 * cells @ cells.T
    assert alike[1, 3] > 0.999
    assert max(alike[0, 1], alike[0, 2], alike[1, 2]) < 0.8


def test_rows_are_compared_with_their_sketch_beside_the_tokens(tiny, table):
    vectors = tiny.embed(table.rows(), modality="table", at="encoder")
    width = tiny.model.encoders["table"].width
    assert vectors.shape == (4, width + 1024)
    torch.testing.assert_close(vectors[:, :width].norm(dim=1), torch.full((4,), 0.5))
    torch.testing.assert_close(vectors[:, width:], sketches(table.rows()))
    assert tiny.embed(table.rows(), modality="table", at="language").shape[1] < 1024


def test_few_rows_of_a_table_never_seen_are_enough_where_one_column_tells(tiny):
    """Random weights of an encoder and a column's middle values: the mean of tokens alone cannot be relied on."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(240, 8)), columns=[f"measure {i}" for i in range(8)])
    labels = np.where(frame["measure 3"].abs() < 0.6, "middle", "outer")
    rows = Table(frame).rows()
    examples = {label: [row for row, one in zip(rows[:80], labels) if one == label] for label in ("middle", "outer")}
    said = tiny.classify(rows[80:], examples=tiny.few_shot(examples, at="encoder"), at="encoder")
    assert np.mean([a.label == b for a, b in zip(said, labels[80:])]) > 0.75
