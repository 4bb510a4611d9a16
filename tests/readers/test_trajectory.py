import json

import numpy as np
import pandas as pd
import pytest

from allspark.readers import UnreadableFileError
from allspark.readers.trajectory import claims, read, read_all

CSV = """time,lon,lat,speed
2024-05-01T00:00:00,7.0,46.0,1
2024-05-01T00:00:10,7.1,46.1,2
2024-05-01T00:00:30,7.2,46.2,3
"""


def put(folder, name, text):
    (folder / name).write_text(text, "utf-8")
    return folder / name


def test_csv(tmp_path):
    path = put(tmp_path, "a.csv", CSV)
    assert claims(path)
    track = read(path)
    np.testing.assert_allclose(track.positions, [[7, 46], [7.1, 46.1], [7.2, 46.2]])
    assert track.time.tolist() == [0, 10, 30]
    assert track.crs == "EPSG:4326"
    assert track.features["speed"].tolist() == [1, 2, 3]


def test_fixes_are_sorted_and_exact_repeats_dropped(tmp_path):
    head, first, second, third = CSV.splitlines()
    path = put(tmp_path, "a.csv", "\n".join([head, third, first, second, first]))
    assert read(path).time.tolist() == [0, 10, 30]


def test_several_tracks(tmp_path):
    rows = "".join(f"{t},{7 + t / 100},{46 + i},{name}\n" for i, name in enumerate(("bus", "tram")) for t in range(4))
    path = put(tmp_path, "a.csv", "t,lon,lat,track\n" + rows + "9,7,46,lone\n")
    with pytest.raises(ValueError, match=r"3 tracks \(bus, tram, lone\).*id="):
        read(path)
    assert read(path, id="tram").positions[0, 1] == 47
    with pytest.raises(ValueError, match="no track 'ship'"):
        read(path, id="ship")
    with pytest.warns(UserWarning, match="1 of 3 tracks"):
        assert list(read_all(path)) == ["bus", "tram"]


def test_ids_of_several_columns_and_dates_in_parts(tmp_path):
    rows = "".join(f"Ana,{year},8,1,{hour},{20 + hour / 6},-60\n" for year in (1979, 1985) for hour in (0, 6, 12))
    path = put(tmp_path, "a.csv", "name,year,month,day,hour,lat,long\n" + rows)
    tracks = read_all(path, columns={"id": ["name", "year"]})
    assert list(tracks) == ["Ana 1979", "Ana 1985"]
    assert tracks["Ana 1985"].time.tolist() == [0, 21600, 43200]


def test_an_id_of_every_row_is_none_of_a_track(tmp_path):
    lines = CSV.splitlines()
    path = put(tmp_path, "a.csv", "\n".join(["id," + lines[0], *(f"{i},{line}" for i, line in enumerate(lines[1:]))]))
    assert len(read(path).time) == 3


def test_x_and_y_need_a_crs(tmp_path):
    path = put(tmp_path, "a.csv", "t,x,y\n0,1,2\n1,2,3\n")
    assert claims(path)
    with pytest.raises(ValueError, match='crs="metres"'):
        read(path)
    assert not read(path, crs="metres").geographic
    assert read(path, crs="EPSG:2154").crs == "EPSG:2154"


def test_columns_by_name_and_units_of_time(tmp_path):
    path = put(tmp_path, "a.csv", "wann;ost;nord\n0;1,5;2\n1;2,5;3\n")
    assert not claims(path)
    with pytest.raises(ValueError, match="columns="):
        read(path)
    track = read(path, columns={"x": "ost", "y": "nord", "time": "wann"}, crs="metres", time_unit="h")
    assert track.time.tolist() == [0, 3600]
    assert track.positions[0, 0] == 1.5
    with pytest.raises(ValueError, match="no column 'west'"):
        read(path, columns={"x": "west"}, crs="metres")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lon,lat\n1,2\n3,4\n", "no times"),
        ("time,lon,lat\n0,1,2\n,3,4\n", "1 of 2 fixes have no time"),
        ("time,lon,lat\nmonday,1,2\ntuesday,3,4\n", "time_format"),
        ("time,lon,lat\n1517966037750,1,2\n1517966038750,3,4\n", "time_unit="),
        ("time,lon,lat\n0,46,98\n1,46,99\n", "latitude reaches 99"),
        ("time,lon,lat\n0,1,\n1,46,9\n", "NaN"),
        ("time,lon,lat\n0,1,2\n", "1 fixes"),
        ("time,lon,lat\n", "no rows"),
        ("time,lon,lat\n0,east,2\n1,west,2\n", "words"),
        ("time,lon,lat,lon\n0,1,2,1\n", "2 times"),
    ],
)
def test_bad_tables_say_what_to_do(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(put(tmp_path, "a.csv", text))


def test_times_in_words(tmp_path):
    path = put(tmp_path, "a.csv", "time,lon,lat\n31/12/2023 23:59,1,2\n01/01/2024 00:01,1,3\n")
    assert read(path, time_format="%d/%m/%Y %H:%M").time.tolist() == [0, 120]
    path = put(tmp_path, "b.csv", "date,time,lon,lat\n2023-12-31,23:59:00,1,2\n2024-01-01,00:01:00,1,3\n")
    assert read(path).time.tolist() == [0, 120]
    path = put(tmp_path, "c.csv", "time,lon,lat\n2024-01-01T01:00+01:00,1,2\n2024-01-01T00:01Z,1,3\n")
    assert read(path).time.tolist() == [0, 60]


POINT = '<trkpt lat="{}" lon="{}"><ele>{}</ele><time>2024-05-01T00:00:{:02d}Z</time>{}</trkpt>'
GPX = '<?xml version="1.0"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1">{}</gpx>'


def gpx_track(name, extra=""):
    points = [POINT.format(46 + i / 100, 7, 500 + i, i, extra) for i in range(4)]
    segments = f"<trkseg>{''.join(points[:2])}</trkseg><trkseg>{''.join(points[2:])}</trkseg>"
    return f"<trk><name>{name}</name>{segments}</trk>"


def test_gpx(tmp_path):
    extra = "<extensions><hr>120</hr><fix>3d</fix></extensions>"
    track = read(put(tmp_path, "a.gpx", GPX.format(gpx_track("walk", extra))))
    assert track.positions.shape == (4, 3)
    assert track.positions[1].tolist() == [7, 46.01, 501]
    assert track.time.tolist() == [0, 1, 2, 3]
    assert track.features["hr"].tolist() == [120] * 4
    both = put(tmp_path, "b.gpx", GPX.format(gpx_track("walk") * 2))
    assert list(read_all(both)) == ["walk", "walk (2)"]


def test_bad_gpx(tmp_path):
    whole = GPX.format(gpx_track("walk"))
    with pytest.raises(UnreadableFileError, match="truncated"):
        read(put(tmp_path, "a.gpx", whole[:300]))
    bomb = '<!DOCTYPE gpx [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    with pytest.raises(ValueError, match="DOCTYPE"):
        read(put(tmp_path, "b.gpx", whole.replace("?>", "?>" + bomb).replace("walk", "&b;")))
    with pytest.raises(ValueError, match="no times"):
        read(put(tmp_path, "c.gpx", GPX.format('<trk><trkseg><trkpt lat="1" lon="2"/></trkseg></trk>')))
    with pytest.raises(ValueError, match="no track points"):
        read(put(tmp_path, "d.gpx", GPX.format('<wpt lat="1" lon="2"/>')))
    with pytest.raises(UnreadableFileError, match="wanted <gpx>"):
        read(put(tmp_path, "e.gpx", "<kml/>"))


def test_plt(tmp_path):
    head = "Geolife trajectory\nWGS 84\nAltitude is in Feet\nReserved 3\n0,2,255,My Track,0,0,2,8421376\n0\n"
    rows = "39.98,116.35,0,{},39625.86,2008-06-26,20:43:06\n39.99,116.36,0,100,39625.86,2008-06-26,20:43:11\n"
    track = read(put(tmp_path, "a.plt", head + rows.format(1000)))
    np.testing.assert_allclose(track.positions, [[116.35, 39.98, 304.8], [116.36, 39.99, 30.48]])
    assert track.time.tolist() == [0, 5]
    assert read(put(tmp_path, "b.plt", head + rows.format(-777))).positions.shape == (2, 2)
    with pytest.raises(ValueError, match="no fixes"):
        read(put(tmp_path, "c.plt", head))
    with pytest.raises(UnreadableFileError, match="truncated"):
        read(put(tmp_path, "d.plt", head + "39.98,116.35,0,1\n"))


def feature(kind, coordinates, **properties):
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def collection(*features):
    return json.dumps({"type": "FeatureCollection", "features": list(features)})


def test_geojson_lines(tmp_path):
    times = ["2024-05-01T00:00:00Z", "2024-05-01T00:00:05Z"]
    line = [[7, 46, 500], [7.1, 46.1, 501]]
    path = put(tmp_path, "a.geojson", collection(feature("LineString", line, coordTimes=times, name="walk")))
    assert claims(path)
    assert read(path).time.tolist() == [0, 5]
    assert read(path, id="walk").positions.shape == (2, 3)
    several = feature("MultiLineString", [line, line], times=[times, times])
    assert len(read(put(tmp_path, "b.json", json.dumps(several))).time) == 2  # the second part repeats the first
    trips = feature("LineString", [[7, 46, 0, 10], [7, 47, 0, 30]])
    assert read(put(tmp_path, "c.json", json.dumps(trips))).time.tolist() == [10, 30]


def test_geojson_points(tmp_path):
    points = [feature("Point", [7, 46 + t / 10], time=t, id=name, speed=2.0) for name in "ab" for t in (0, 1, 2)]
    path = put(tmp_path, "a.geojson", collection(*points))
    assert list(read_all(path)) == ["a", "b"]
    assert read(path, id="b").features["speed"].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (collection(feature("LineString", [[7, 46], [7, 47]])), ValueError, "coordTimes"),
        (collection(feature("LineString", [[7, 46], [7, 47]], times=[1])), ValueError, "1 times for a line of 2"),
        (collection(feature("Point", [7, 46], role="stop")), ValueError, "without times"),
        (collection(feature("Polygon", [[[0, 0], [1, 1], [1, 0], [0, 0]]])), ValueError, "no lines and no points"),
        ('{"type": "FeatureCollection", "feat', UnreadableFileError, "truncated"),
        ("[1, 2]", UnreadableFileError, "no GeoJSON"),
    ],
)
def test_bad_geojson(tmp_path, text, error, message):
    with pytest.raises(error, match=message):
        read(put(tmp_path, "a.geojson", text))


def test_parquet(tmp_path):
    frame = pd.DataFrame({"timestamp": pd.date_range("2024-05-01", periods=3, freq="10s"), "lon": [7.0, 7.1, 7.2]})
    frame.assign(lat=[46.0, 46.1, 46.2]).to_parquet(tmp_path / "a.parquet")
    assert claims(tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet").time.tolist() == [0, 10, 20]
    frame.to_parquet(tmp_path / "b.parquet")
    assert not claims(tmp_path / "b.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content[: len(content) // 2])
    assert not claims(tmp_path / "a.parquet")
    with pytest.raises(UnreadableFileError, match="truncated"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize(("crs", "expected"), [("OGC:CRS84", "EPSG:4326"), ("EPSG:2154", "EPSG:2154")])
def test_geoparquet(tmp_path, crs, expected):
    geopandas = pytest.importorskip("geopandas")
    points = geopandas.points_from_xy([7.0, 7.1], [46.0, 46.5], z=[1.0, 2.0])
    frame = geopandas.GeoDataFrame({"time": [0.0, 5.0]}, geometry=points, crs=crs)
    frame.to_parquet(tmp_path / "a.geoparquet")
    assert claims(tmp_path / "a.geoparquet")
    track = read(tmp_path / "a.geoparquet")
    np.testing.assert_allclose(track.positions, [[7, 46, 1], [7.1, 46.5, 2]])
    assert track.crs == expected
    lines = geopandas.GeoSeries.from_wkt(["LINESTRING (0 0, 1 1)", "LINESTRING (1 1, 2 2)"], crs=crs)
    frame.set_geometry(lines).to_parquet(tmp_path / "b.geoparquet")
    with pytest.raises(ValueError, match="wanted a point per fix"):
        read(tmp_path / "b.geoparquet")


def test_empty_file(tmp_path):
    for name in ("a.csv", "a.gpx", "a.plt", "a.geojson", "a.parquet"):
        with pytest.raises(UnreadableFileError, match="0 bytes"):
            read(put(tmp_path, name, ""))


def crowd(folder, times, steps=6):
    """Two walkers and one who comes later and leaves sooner."""
    rows = [f"a,{times(t)},{t},0\nb,{times(t)},{t},2" for t in range(steps)]
    rows += [f"c,{times(t)},{9 - t},5" for t in range(2, 4)]
    return put(folder, "crowd.csv", "id,time,x,y\n" + "\n".join(rows) + "\n")


DATES = "2024-05-01T00:00:{:02d}".format


@pytest.mark.parametrize("times", [float, DATES], ids=("seconds", "dates"))
def test_a_stretch_of_a_track_and_where_the_others_were(tmp_path, times):
    path = crowd(tmp_path, times)
    start, end = times(1), times(4)
    alone = read(path, id="a", crs="metres", start=start, end=end)
    assert alone.positions[:, 0].tolist() == [1, 2, 3, 4]
    assert alone.others is None
    track = read(path, id="a", crs="metres", start=start, end=end, others=True)
    np.testing.assert_array_equal(track.positions, alone.positions)
    nan = np.nan
    # nobody knows of c before it came nor after it left
    np.testing.assert_array_equal(
        track.others, [[[1, 2], [2, 2], [3, 2], [4, 2]], [[nan, nan], [7, 5], [6, 5], [nan, nan]]]
    )
    assert read(path, id="a", crs="metres", others=True).others.shape == (2, 6, 2)
    with pytest.raises(ValueError, match=r"'a' has 0 fixes from .* to .*; wanted at least 2; its times are"):
        read(path, id="a", crs="metres", start=times(8), end=times(9))
    with pytest.raises(ValueError, match=f"times of .* are {'dates' if times is DATES else 'numbers'}"):
        read(path, id="a", crs="metres", start=4.0 if times is DATES else "2024-05-01")


def test_others_are_never_told_of_what_comes_later(tmp_path):
    path = put(tmp_path, "a.csv", "id,time,x,y\na,0,0,0\na,1,1,0\na,2,2,0\nb,0.5,7,7\nb,1.9,8,8\nb,2.5,9,9\n")
    (other,) = read(path, id="a", crs="metres", others=True).others
    np.testing.assert_array_equal(other, [[np.nan, np.nan], [7, 7], [8, 8]])


def test_a_fix_that_is_repeated_leaves_others_in_step(tmp_path):
    path = put(tmp_path, "a.csv", "id,time,x,y\na,0,0,0\na,0,0,0\na,1,1,0\nb,0,5,5\nb,1,6,6\n")
    track = read(path, id="a", crs="metres", others=True)
    assert track.others.tolist() == [[[5, 5], [6, 6]]]
    assert dict(track.features) == {}
