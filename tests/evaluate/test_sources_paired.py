"""Pickles read without running them, and the sources that need more than one sensor or no pickle at all."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from made_archives import RNG, everything

from allspark.evaluate import sources
from allspark.evaluate.sources.clouds import labelled_cells
from allspark.evaluate.sources.inert import read_inert
from allspark.evaluate.sources.paired import cut
from allspark.items import Graph


def word(text: str) -> bytes:
    return b"U" + struct.pack("<B", len(text)) + text.encode()


def array(values: np.ndarray) -> bytes:
    """An array as numpy of Python 2 wrote it (protocol 2)."""
    kind = values.dtype.str[1:]
    shape = b"".join(b"M" + struct.pack("<H", n) for n in values.shape)
    shape = shape + (b"\x85" if values.ndim == 1 else b"\x86")
    raw = values.tobytes()
    data = b"T" + struct.pack("<i", len(raw)) + raw
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + word("b") + b"\x87R("
    dtype = (
        b"cnumpy\ndtype\n"
        + word(kind)
        + b"K\x00K\x01\x87R(K\x03"
        + word("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    return made + b"K\x01" + shape + dtype + b"\x89" + data + b"tb"


def csr(dense: np.ndarray) -> bytes:
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(dense.astype(np.float32))
    state = word("_shape") + b"".join(b"M" + struct.pack("<H", n) for n in matrix.shape) + b"\x86"
    for key in ("indptr", "indices", "data"):
        state += word(key) + array(getattr(matrix, key))
    return b"\x80\x02cscipy.sparse.csr\ncsr_matrix\n)\x81}(" + state + b"ub."


def test_arrays_and_matrices_are_read_and_nothing_else() -> None:
    values = RNG.integers(0, 9, (3, 4)).astype("<i4")
    np.testing.assert_array_equal(read_inert(b"\x80\x02" + array(values) + b"."), values)
    data, indices, indptr, shape = read_inert(csr(np.eye(3, 5)))
    assert (data.tolist(), indices.tolist(), indptr.tolist(), shape) == ([1, 1, 1], [0, 1, 2], [0, 1, 2, 3], (3, 5))
    harmful = b"cos\nsystem\n" + word("touch harmed") + b"\x85R."
    with pytest.raises(ValueError, match="it names 'os system'"):
        read_inert(harmful)
    for content, words in ((b"I01\n.", "it uses INT"), (b"\x80\x02K\x01", "plain arrays"), (b"no pickle", "plain")):
        with pytest.raises(ValueError, match=words):
            read_inert(content)


def test_cora_is_put_in_order(tmp_path: Path) -> None:
    path = tmp_path / sources.get("cora").files[0]
    path.parent.mkdir(parents=True)
    words, classes = np.eye(6), np.eye(7)[[0, 1, 2, 3, 4, 5]].astype("<i4")
    graph = b"\x80\x02ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R("
    for node in range(6):
        graph += b"K" + bytes([node]) + b"]K" + bytes([(node + 1) % 6]) + b"a"
    with zipfile.ZipFile(path, "w") as archive:
        # rows 4 and 5 are the test part, and stand there as 5, 4
        archive.writestr("ind.cora.allx", csr(words[:4]))
        archive.writestr("ind.cora.tx", csr(words[[5, 4]]))
        archive.writestr("ind.cora.ally", b"\x80\x02" + array(classes[:4]) + b".")
        archive.writestr("ind.cora.ty", b"\x80\x02" + array(classes[[5, 4]]) + b".")
        archive.writestr("ind.cora.graph", graph + b"u.")
        archive.writestr("ind.cora.test.index", "5\n4\n")
    records = everything("cora", tmp_path)["test"]
    assert [r.label for r in records] == ["0", "1", "2", "3", "4", "5"]
    item = records[5].item
    assert isinstance(item, Graph)
    assert item.nodes is not None
    assert item.nodes.argmax(1).tolist() == [5, 0, 4, 1, 3]  # the paper first, then its neighbours, then theirs


def test_a_rectangle_is_cut_from_a_grid() -> None:
    from rasterio import Affine

    pixels = np.arange(100).reshape(1, 10, 10)
    grid = Affine(2, 0, 100, 0, -2, 220)
    assert cut(pixels, grid, np.array([104.5, 213.0, 107.0, 217.0])).tolist() == [[[12, 13], [22, 23], [32, 33]]]
    assert cut(pixels, grid, np.array([90.0, 218.5, 101.0, 230.0])).tolist() == [[[0]]]


def test_cells_hide_the_class_of_their_points(tmp_path: Path) -> None:
    import laspy

    folder = tmp_path / sources.get("ign_lidarhd").files[0]
    folder.mkdir(parents=True)
    for tile in ("77050_627755", "77060_627755"):
        header = laspy.LasHeader(point_format=6, version="1.4")
        header.scales = np.array([0.01, 0.01, 0.01])
        cloud = laspy.LasData(header)
        cloud.x, cloud.y = RNG.uniform(0, 20, (2, 3000))
        cloud.classification = RNG.choice([1, 2, 6], 3000).astype(np.uint8)
        cloud.z = np.where(np.asarray(cloud.classification) == 6, 7.0, 0.0)
        cloud.write(folder / f"test_data_{tile}_LA93_IGN69.laz")
    cells = list(labelled_cells(tmp_path, "test"))
    assert len(cells) == 4
    for cloud, names, group in cells:
        assert "77060_627755" in group
        assert "classification" not in cloud.features
        assert set(names) == {"", "ground", "building"}
        assert ((cloud.xyz[:, 2] > 3) == (names == "building")).all()
