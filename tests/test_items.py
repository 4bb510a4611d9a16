"""Items say at once what is wrong with them."""

import numpy as np
import pandas as pd
import pytest

from allspark.items import Code, Graph, PointCloud, Raster, Table, Text, Trajectory

ONE = np.zeros((2, 4, 5))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Raster(np.zeros((4, 5)), units="db"), r"shape \(4, 5\); wanted \(C, H, W\)"),
        (lambda: Raster(np.zeros((0, 4, 5)), units="db"), "at least one band"),
        (lambda: Raster(ONE.astype(complex), units="db"), "wanted numbers"),
        (lambda: Raster(ONE, units="decibel"), "wanted one of uint8"),
        (lambda: Raster(ONE, units="db", bands=("VV",)), "1 band names came for 2 bands"),
        (lambda: Raster(ONE, units="db", bands=("VV", "VV")), "repeat"),
        (lambda: Raster(ONE, units="reflectance", wavelengths=[560, 660]), "divide nanometres by 1000"),
        (lambda: Raster(ONE, units="reflectance", wavelengths=[0.5]), "1 wavelengths came for 2 bands"),
        (lambda: Raster(ONE, units="reflectance", wavelengths=[0.5, -1]), "not positive"),
        (lambda: Raster(ONE, units="db", valid=np.ones((3, 3))), "wanted the raster's"),
        (lambda: Raster(ONE, units="db", time=["2020-01-01", "2020-01-02"]), "2 times came for 1 dates"),
        (lambda: PointCloud(np.zeros((0, 3))), "0 points"),
        (lambda: PointCloud(np.zeros((5, 2))), r"wanted \(P, 3\)"),
        (lambda: PointCloud(np.array([[0, 0, np.nan]])), "1 of 1 points"),
        (lambda: PointCloud(np.zeros((5, 3)), {"intensity": np.zeros(4)}), "'intensity' has shape"),
        (lambda: Trajectory([[0, 0]], [0]), "wanted at least 2"),
        (lambda: Trajectory([[0, 91], [0, 0]], [0, 1]), "latitude reaches 91"),
        (lambda: Trajectory([[0, 0], [0, np.inf]], [0, 1]), "infinite"),
        (lambda: Trajectory([[0, 0], [0, 1]], [1, 0]), "backwards"),
        (lambda: Trajectory([[0, 0], [0, 1]], [0]), "one time for each of 2"),
        (lambda: Graph([[0, 1], [1, 5]], nodes=np.zeros((3, 1))), "names node 5"),
        (lambda: Graph([[0, -1], [1, 0]]), "names node -1"),
        (lambda: Graph([[0.5], [1.0]]), "whole numbers"),
        (lambda: Graph([[], []]), "0 nodes"),
        (lambda: Graph([[0], [1]], nodes=np.zeros((2, 1)), positions=np.zeros((3, 2))), "make them agree"),
        (lambda: Table(pd.DataFrame({"a": []})), "0 rows"),
        (lambda: Table(pd.DataFrame({"a": [np.nan, np.nan]})), "all 2 cells"),
        (lambda: Table({"a": 1}), "pandas DataFrame"),
        (lambda: Text("  "), "empty"),
        (lambda: Code(""), "empty"),
    ],
)
def test_what_cannot_be_right_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_the_mask_joins_nodata_and_nan():
    values = np.ones((2, 3, 3))
    values[1, 0, 0] = np.nan
    valid = np.ones((3, 3), bool)
    valid[2, 2] = False
    mask = Raster(values, units="db", valid=valid).mask
    assert not mask[0, 0]
    assert not mask[2, 2]
    assert mask.sum() == 7


def test_bands_are_chosen_by_name():
    raster = Raster(np.arange(3)[:, None, None] * np.ones((3, 2, 2)), units="dn", bands=("a", "b", "c"),
                    wavelengths=[0.4, 0.5, 0.6])  # fmt: skip
    chosen = raster.select(["c", "a"])
    assert chosen.values[:, 0, 0].tolist() == [2, 0]
    assert chosen.wavelengths.tolist() == [0.6, 0.4]
    with pytest.raises(ValueError, match="'d'"):
        raster.select(["d"])


def test_a_row_keeps_its_tables_scales():
    table = Table(pd.DataFrame({"height": np.arange(100.0), "kind": ["x"] * 100}))
    assert table[3].scales == table.scales
    assert table.scales["height"][0] == pytest.approx(49.5)
    assert len(table.rows()) == 100
    assert "kind" not in table.scales


def test_dates_become_seconds():
    track = Trajectory([[0, 0], [1, 1]], np.array(["2020-01-01T00:00", "2020-01-01T00:01"], dtype="datetime64[m]"))
    assert track.time.tolist() == [0.0, 60.0]
    assert track.geographic
    assert not Trajectory([[0, 0], [1e6, 1]], [0, 1], crs="EPSG:2154").geographic
