import struct
import zipfile

import laspy
import numpy as np
import pytest
from pyproj import CRS

from allspark.items import PointCloud
from allspark.readers import UnreadableFileError
from allspark.readers.pcd import lzf_decompress
from allspark.readers.point_cloud import claims, read

XYZ = np.random.default_rng(0).uniform(0, 50, (200, 3)).round(2)


def write_las(path, crs=2154, point_format=8, points=XYZ, **fields):
    header = laspy.LasHeader(point_format=point_format, version="1.4" if point_format > 5 else "1.2")
    header.scales, header.offsets = [0.01] * 3, [0, 0, 0]
    if crs is not None:
        header.add_crs(CRS.from_user_input(crs))
    header.add_extra_dim(laspy.ExtraBytesParams("height_above_ground", "float32"))
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = points.T
    cloud.height_above_ground = points[:, 2]
    for name, value in fields.items():
        cloud[name] = value
    cloud.write(path)
    return path


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("point_format", [3, 8])
def test_las_and_laz_give_metres_fields_and_crs(tmp_path, suffix, point_format):
    intensity = np.arange(200, dtype=np.uint16)
    path = write_las(
        tmp_path / f"a{suffix}", point_format=point_format, intensity=intensity, red=intensity * 256, green=intensity,
        classification=np.full(200, 6, np.uint8),
    )  # fmt: skip
    cloud = read(path)
    np.testing.assert_allclose(cloud.xyz, XYZ, atol=1e-9)
    assert cloud.crs == "EPSG:2154"
    assert (cloud.features["intensity"] == intensity).all()
    assert (cloud.features["red"] == intensity * 256).all()
    assert set(cloud.features["classification"]) == {6}
    np.testing.assert_allclose(cloud.features["height_above_ground"], XYZ[:, 2], rtol=1e-6)


def test_colours_that_were_not_recorded_are_absent(tmp_path):
    cloud = read(write_las(tmp_path / "a.laz"))
    assert not {"red", "green", "blue", "nir", "intensity"} & set(cloud.features)


def test_features_and_max_points_choose(tmp_path):
    path = write_las(tmp_path / "a.laz", intensity=np.arange(200, dtype=np.uint16))
    cloud = read(path, features=["intensity"], max_points=50)
    assert cloud.xyz.shape == (50, 3)
    assert list(cloud.features) == ["intensity"]
    np.testing.assert_allclose(cloud.xyz, XYZ[cloud.features["intensity"]], atol=1e-9)
    assert (read(path, max_points=50).xyz == cloud.xyz).all()
    with pytest.raises(ValueError, match=r"no fields.*nir2.*intensity"):
        read(path, features=["nir2"])


def test_feet_become_metres_and_the_crs_still_fits(tmp_path):
    from pyproj import Transformer

    points = XYZ + [636_000, 848_000, 0]
    path = write_las(tmp_path / "a.las", crs=2992, points=points)  # Oregon Lambert, international feet
    cloud = read(path)
    np.testing.assert_allclose(cloud.xyz, points * 0.3048, rtol=1e-9)
    before = Transformer.from_crs(2992, 4326).transform(*points[0, :2])
    after = Transformer.from_crs(cloud.crs, 4326).transform(*cloud.xyz[0, :2])
    np.testing.assert_allclose(before, after, atol=1e-9)


def test_degrees_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"degrees.*metres.*reproject"):
        read(write_las(tmp_path / "a.las", crs=4326))


def test_no_crs_is_no_error_and_can_be_given(tmp_path):
    path = write_las(tmp_path / "a.laz", crs=None)
    assert read(path).crs is None
    assert read(path, crs="EPSG:2154").crs == "EPSG:2154"


@pytest.mark.parametrize("suffix", [".las", ".laz"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.8, 0.99])
def test_truncated_las_is_one_sentence(tmp_path, suffix, part):
    path = write_las(tmp_path / f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UnreadableFileError, match=r"truncated|empty"):
        read(path)


@pytest.mark.parametrize("place", [100, 107, 243, 247])
def test_a_damaged_count_ends_at_once(tmp_path, place):
    path = write_las(tmp_path / "a.laz")
    content = bytearray(path.read_bytes())
    content[place : place + 4] = b"\xff\xff\xff\xf0"  # records, points; as LAS 1.4 counts them at the end
    path.write_bytes(content)
    if place != 107:  # the old count of points, which 1.4 does not use
        with pytest.raises(UnreadableFileError, match="truncated"):
            read(path)
    else:
        assert len(read(path).xyz) == 200


def test_las_without_points(tmp_path):
    with pytest.raises(ValueError, match="0 points"):
        read(write_las(tmp_path / "a.las", points=np.zeros((0, 3))))


def write_pcd(path, data, coding, fields="x y z intensity", types="F F F F", sizes="4 4 4 4"):
    counts = " ".join("1" for _ in fields.split())
    head = (
        f"# .PCD v0.7\nVERSION 0.7\nFIELDS {fields}\nSIZE {sizes}\nTYPE {types}\nCOUNT {counts}\n"
        f"WIDTH {len(data)}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {len(data)}\nDATA {coding}\n"
    ).encode()
    if coding == "ascii":
        body = "\n".join(" ".join(map(str, row)) for row in data.tolist()).encode()
    elif coding == "binary":
        body = data.astype("<f4").tobytes()
    else:
        plain = data.astype("<f4").T.tobytes()
        packed = literals(plain)
        body = struct.pack("<II", len(packed), len(plain)) + packed
    path.write_bytes(head + body)
    return path


def literals(data):
    """LZF without any copies, which every decoder must read."""
    return b"".join(bytes([len(data[i : i + 32]) - 1]) + data[i : i + 32] for i in range(0, len(data), 32))


@pytest.mark.parametrize("coding", ["ascii", "binary", "binary_compressed"])
def test_pcd_codings_and_missing_returns(tmp_path, coding):
    data = np.column_stack([XYZ, np.arange(200.0)]).astype(np.float32)
    data[7, :3] = np.nan
    cloud = read(write_pcd(tmp_path / "a.pcd", data, coding))
    keep = np.arange(200) != 7
    np.testing.assert_allclose(cloud.xyz, data[keep, :3], rtol=1e-6)
    assert (cloud.features["intensity"] == np.arange(200)[keep]).all()


def test_pcd_packed_colour(tmp_path):
    packed = np.array([0x0A141E, 0xFF0000], np.uint32).view(np.float32)
    path = write_pcd(tmp_path / "a.pcd", np.column_stack([XYZ[:2], packed]).astype(np.float32), "binary", "x y z rgb")
    cloud = read(path)
    assert [cloud.features[c].tolist() for c in ("red", "green", "blue")] == [[10, 255], [20, 0], [30, 0]]


def test_lzf_copies():
    assert lzf_decompress(b"\x00a\x80\x00\x00b", 8) == b"aaaaaaab"  # a copy that overlaps what it writes
    assert lzf_decompress(b"\x02abc\x20\x02", 6) == b"abcabc"
    assert lzf_decompress(b"\x00a\xe0\x0a\x00", 20) == b"a" * 20  # 7: the next byte adds to the length
    for damaged in (b"\x00a\x20\x05", b"\x00a\x20", b"\x05ab"):
        with pytest.raises(ValueError, match="compressed data"):
            lzf_decompress(damaged, 9)


@pytest.mark.parametrize("coding", ["ascii", "binary", "binary_compressed"])
def test_truncated_pcd(tmp_path, coding):
    path = write_pcd(tmp_path / "a.pcd", np.column_stack([XYZ, XYZ[:, :1]]), coding)
    path.write_bytes(path.read_bytes()[:-1500])
    with pytest.raises(UnreadableFileError, match="truncated"):
        read(path)
    path.write_bytes(b"VERSION 0.7\nFIELDS x y z\n")
    with pytest.raises(UnreadableFileError, match="no DATA line"):
        read(path)


def write_ply(path, coding, count=200):
    head = (
        f"ply\nformat {coding} 1.0\ncomment made\nelement vertex {count}\nproperty double x\nproperty float y\n"
        "property float z\nproperty uchar red\nproperty short scalar_Intensity\nelement face 1\n"
        "property list uchar int vertex_indices\nend_header\n"
    ).encode()
    order = ">" if "big" in coding else "<"
    rows = np.zeros(count, [("x", "f8"), ("y", "f4"), ("z", "f4"), ("r", "u1"), ("i", "i2")])
    for i, name in enumerate("xyz"):
        rows[name] = XYZ[:count, i]
    rows["r"], rows["i"] = np.arange(count) % 256, -np.arange(count)
    if coding == "ascii":
        body = "".join(" ".join(map(str, row)) + "\n" for row in rows.tolist()).encode() + b"3 0 1 2\n"
    else:
        types = [("x", f"{order}f8"), ("y", f"{order}f4"), ("z", f"{order}f4"), ("r", "u1"), ("i", f"{order}i2")]
        body = rows.astype(types).tobytes() + struct.pack(f"{order}Biii", 3, 0, 1, 2)
    path.write_bytes(head + body)
    return path


@pytest.mark.parametrize("coding", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ply_codings(tmp_path, coding):
    path = write_ply(tmp_path / "a.ply", coding)
    cloud = read(path)
    np.testing.assert_allclose(cloud.xyz, XYZ, rtol=1e-6)
    assert (cloud.features["red"] == np.arange(200)).all()
    assert cloud.features["intensity"].tolist() == (-np.arange(200)).tolist()
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadableFileError, match="truncated"):
        read(path)


def test_ply_and_pcd_without_points(tmp_path):
    for path in (write_ply(tmp_path / "a.ply", "binary_little_endian", 0), write_ply(tmp_path / "b.ply", "ascii", 0)):
        with pytest.raises(ValueError, match="0 points"):
            read(path)
    with pytest.raises(ValueError, match="0 points"):
        read(write_pcd(tmp_path / "a.pcd", np.zeros((0, 4)), "binary"))


def test_arrays(tmp_path):
    np.save(tmp_path / "a.npy", np.column_stack([XYZ, XYZ[:, 0]]))
    assert claims(tmp_path / "a.npy")
    assert list(read(tmp_path / "a.npy").features) == ["column_3"]
    assert list(read(tmp_path / "a.npy", columns=["x", "y", "z", "intensity"]).features) == ["intensity"]
    np.savez(tmp_path / "a.npz", xyz=XYZ, nir=XYZ[:, 0])
    assert claims(tmp_path / "a.npz")
    assert list(read(tmp_path / "a.npz").features) == ["nir"]
    np.save(tmp_path / "image.npy", np.zeros((4, 8, 8)))
    assert not claims(tmp_path / "image.npy")
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert not claims(tmp_path / "bad.npy")
    with pytest.raises(UnreadableFileError, match="Python objects"):
        read(tmp_path / "bad.npy")


@pytest.mark.parametrize(
    ("head", "separator"), [("", " "), ("", ","), ("//X Y Z Intensity\n", " "), ("200\n", "\t"), ("x,y,z,i\n", ",")]
)
def test_columns_of_text(tmp_path, head, separator):
    path = tmp_path / "a.txt"
    path.write_text(head + "".join(separator.join(f"{v:.2f}" for v in (*row, 3)) + "\n" for row in XYZ))
    assert claims(path)
    cloud = read(path)
    np.testing.assert_allclose(cloud.xyz, XYZ)
    assert list(cloud.features) == ["intensity" if "z" in head.lower() else "column_3"]


def test_text_that_is_no_cloud(tmp_path):
    (tmp_path / "a.txt").write_text("Once upon a time.\n")
    (tmp_path / "frames.txt").write_text("780 1.0 8.46 3.59\n790 1.0 9.57 3.79\n")  # frame, id, x, y
    assert not claims(tmp_path / "a.txt")
    assert not claims(tmp_path / "frames.txt")
    with pytest.raises(UnreadableFileError, match="three numbers"):
        read(tmp_path / "a.txt")


def test_nan_names_the_file(tmp_path):
    np.save(tmp_path / "a.npy", np.where(XYZ[3] == XYZ, np.nan, XYZ))
    with pytest.raises(ValueError, match=r"a\.npy.*NaN"):
        read(tmp_path / "a.npy")


def test_inside_a_zip(tmp_path):
    write_las(tmp_path / "a.laz")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(tmp_path / "a.laz", "tiles/a.laz")
    assert isinstance(read(f"zip://tiles/a.laz::{tmp_path / 'c.zip'}"), PointCloud)
    with pytest.raises(FileNotFoundError, match=r"tiles/a\.laz"):
        read(f"zip://tiles/b.laz::{tmp_path / 'c.zip'}")
    (tmp_path / "c.zip").write_bytes((tmp_path / "c.zip").read_bytes()[:200])
    with pytest.raises(UnreadableFileError, match="zip"):
        read(f"zip://tiles/a.laz::{tmp_path / 'c.zip'}")
