import networkx as nx
import numpy as np
import pytest

from allspark.readers import UnreadableFileError
from allspark.readers.graph import claims, from_pyg, read, read_named


def put(folder, name, text):
    (folder / name).write_text(text, "utf-8")
    return folder / name


def town():
    graph = nx.Graph()
    graph.add_node("mill", height=3.5, kind="house", lon=7.0, lat=46.0)
    graph.add_node("barn", height=4, kind="shed", lon=7.1, lat=46.1)
    graph.add_node("inn", height=9.0, kind="house", lon=7.2, lat=46.2)
    graph.add_node("hut", height=1.0, kind="shed", lon=7.3, lat=46.3)
    graph.add_edge("mill", "barn", length=12.5, id="e1")
    graph.add_edge("barn", "inn", length=2.0, id="e2")
    return graph


def write(graph, path):
    (nx.write_graphml if path.suffix == ".graphml" else nx.write_gml)(graph, path)
    return path


@pytest.mark.parametrize("suffix", [".graphml", ".gml"])
def test_markup(tmp_path, suffix):
    path = write(town(), tmp_path / f"a{suffix}")
    graph, names, columns, edge_columns = read_named(path)
    assert graph.edges.tolist() == [[0, 1, 1, 2], [1, 2, 0, 1]]  # both directions
    assert columns == ("height", "kind=house", "kind=shed")
    np.testing.assert_allclose(graph.nodes, [[3.5, 1, 0], [4, 0, 1], [9, 1, 0], [1, 0, 1]])
    np.testing.assert_allclose(graph.positions[:, 0], [7, 7.1, 7.2, 7.3])
    assert edge_columns == ("length",)
    assert graph.edge_features[:, 0].tolist() == [12.5, 2, 12.5, 2]
    assert len(names) == graph.count == 4
    if suffix == ".graphml":
        assert names[0] == "mill"
    assert read(path, directed=True).edges.tolist() == [[0, 1], [1, 2]]
    assert read(path, node_features=["height"]).nodes.shape == (4, 1)
    assert read(path, categories={"kind": ["barn", "house", "shed"]}).nodes.shape == (4, 4)
    with pytest.raises(ValueError, match="categories given"):
        read(path, categories={"kind": ["house"]})
    with pytest.raises(ValueError, match="no node attributes"):
        read(path, node_features=["width"])


def test_directed_markup_and_utf8(tmp_path):
    text = 'graph [ directed 1 node [ id 5 label "Zürich" ] node [ id 9 label "Genève" ] edge [ source 9 target 5 ] ]'
    graph, names, _, _ = read_named(put(tmp_path, "a.gml", text))
    assert graph.edges.tolist() == [[1], [0]]
    assert names == (5, 9)
    assert graph.nodes is None  # every label another: names, not categories


def test_words_that_are_numbers_are_one_column(tmp_path):
    nodes = "".join(f'node [ id {i} label "{i % 2}" ] ' for i in range(4))
    graph = read(put(tmp_path, "a.gml", f"graph [ {nodes} edge [ source 0 target 3 ] ]"))
    assert graph.nodes.tolist() == [[0], [1], [0], [1]]


def test_missing_attributes_are_named(tmp_path):
    graph = town()
    del graph.nodes["inn"]["height"]
    path = write(graph, tmp_path / "a.graphml")
    with pytest.raises(ValueError, match=r"1 of 4 nodes lack attribute 'height', first node inn.*node_features="):
        read(path)
    assert read(path, node_features=["kind"]).nodes.shape == (4, 2)


def test_dangling_edges(tmp_path):
    text = "graph [ node [ id 1 ] edge [ source 1 target 7 ] ]"
    with pytest.raises(ValueError, match=r"undefined.*drop the edge"):
        read(put(tmp_path, "a.gml", text))
    markup = '<graphml><graph edgedefault="directed"><node id="a"/><edge source="a" target="b"/></graph></graphml>'
    with pytest.raises(ValueError, match="names node 'b'"):
        read(put(tmp_path, "a.graphml", markup))
    nodes = put(tmp_path, "nodes.csv", "id,size\n1,5\n2,6\n")
    with pytest.raises(ValueError, match="names node 3, which is not listed"):
        read(put(tmp_path, "a.csv", "source,target\n1,2\n2,3\n"), nodes=nodes)
    tntp = "<NUMBER OF NODES> 2\n<NUMBER OF LINKS> 1\n<END OF METADATA>\n~ init_node term_node capacity ;\n 1 3 5.0 ;\n"
    with pytest.raises(ValueError, match="names node 3; its nodes are 1 to 2"):
        read(put(tmp_path, "a_net.tntp", tntp))
    np.savez(tmp_path / "a.npz", edges=np.array([[0, 1], [1, 9]]), nodes=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="names node 9"):
        read(tmp_path / "a.npz")


def test_bad_markup(tmp_path):
    path = write(town(), tmp_path / "a.graphml")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableFileError, match="truncated"):
        read(path)
    with pytest.raises(ValueError, match="DOCTYPE"):
        read(put(tmp_path, "b.graphml", '<!DOCTYPE graphml [<!ENTITY a "b">]><graphml>&a;</graphml>'))
    path = write(town(), tmp_path / "c.gml")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UnreadableFileError, match="GML"):
        read(path)
    with pytest.raises(UnreadableFileError, match="Geography"):
        read(put(tmp_path, "d.gml", "<gml:FeatureCollection/>"))
    with pytest.raises(ValueError, match="0 nodes"):
        read(put(tmp_path, "e.gml", "graph [ ]"))


def test_edge_table(tmp_path):
    path = put(tmp_path, "a.csv", "Source,Target,weight\nBern,Genf,2\nGenf,Chur,3\nGenf,Bern,9\n")
    assert claims(path)
    graph, names, _, columns = read_named(path)
    assert names == ("Bern", "Genf", "Chur")
    assert graph.edges.tolist() == [[0, 1, 1, 2], [1, 2, 0, 1]]  # only the edge without a reverse gets one
    assert graph.edge_features[:, 0].tolist() == [2, 3, 9, 3]
    assert columns == ("weight",)
    assert read(path, directed=True).edges.shape == (2, 3)
    text = "id,lon,lat,size\nChur,9.5,46.8,1\nBern,7.4,46.9,2\nGenf,6.1,46.2,3\nBasel,7.6,47.6,4\n"
    nodes = put(tmp_path, "nodes.csv", text)
    graph, names, columns, _ = read_named(path, nodes=nodes)
    assert names == ("Chur", "Bern", "Genf", "Basel")
    assert graph.count == 4
    assert columns == ("size",)
    assert graph.positions[0].tolist() == [9.5, 46.8]
    typed = put(tmp_path, "b.csv", "source,target,type\n1,2,Directed\n2,3,Directed\n")
    assert read(typed).edges.tolist() == [[0, 1], [1, 2]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "wanted source and target"),
        ("source,target\n1,\n", "without an end"),
        ("source,target\n", "no edges"),
    ],
)
def test_bad_edge_tables(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(put(tmp_path, "a.csv", text))


def test_edges_in_words(tmp_path):
    path = put(tmp_path, "a.txt", "# a comment\n10 20 0.5\n20 30 1.5\n20 20 2\n")
    assert claims(path)
    graph, names, _, _ = read_named(path)
    assert names == ("10", "20", "30")
    assert graph.edges.tolist() == [[0, 1, 1, 1, 2], [1, 2, 1, 0, 1]]  # a loop is its own reverse
    assert graph.edge_features[:, 0].tolist() == [0.5, 1.5, 2, 0.5, 1.5]
    nx.write_edgelist(town(), tmp_path / "b.edgelist")  # with braces
    assert read(tmp_path / "b.edgelist").edge_features[:, 0].tolist() == [12.5, 2, 12.5, 2]
    nx.write_edgelist(town(), tmp_path / "c.edges", data=False)
    assert read(tmp_path / "c.edges").edge_features is None
    assert not claims(put(tmp_path, "d.txt", "Once upon a time\n"))
    with pytest.raises(UnreadableFileError, match="3 words in line of data 2 and 2"):
        read(put(tmp_path, "e.edges", "1 2\n1 2 3\n"))
    with pytest.raises(ValueError, match="no edges"):
        read(put(tmp_path, "f.edges", "# nothing\n"))


def test_tntp(tmp_path):
    net = (
        "<NUMBER OF NODES> 3\n<NUMBER OF LINKS> 2\n<END OF METADATA>\n\n~\tinit_node\tterm_node\tcapacity\tlength\t;\n"
        "\t1\t3\t900\t2.5\t;\n\t3\t2\t600\t1.5\t;\n"
    )
    path = put(tmp_path, "town_net.tntp", net)
    assert read(path).positions is None
    put(tmp_path, "town_node.tntp", "Node\tX\tY\t;\n1\t10\t20\t;\n2\t11\t21\t;\n3\t12\t22\t;\n")
    graph = read(path)
    assert graph.edges.tolist() == [[0, 2], [2, 1]]
    assert graph.edge_features.tolist() == [[900, 2.5], [600, 1.5]]
    assert graph.positions.tolist() == [[10, 20], [11, 21], [12, 22]]
    with pytest.raises(UnreadableFileError, match="1 of 2 links"):
        read(put(tmp_path, "cut_net.tntp", net[: net.index("\t3\t2")]))
    with pytest.raises(UnreadableFileError, match=r"_net.tntp"):
        read(tmp_path / "town_node.tntp")


def test_arrays(tmp_path):
    edges = np.array([[0, 1], [1, 2], [2, 0]])
    np.savez(tmp_path / "a.npz", edge_index=edges, x=np.ones((3, 4)), edge_attr=np.arange(3.0))
    assert claims(tmp_path / "a.npz")
    graph = read(tmp_path / "a.npz")
    assert graph.edges.tolist() == [[0, 1, 2], [1, 2, 0]]
    assert read(tmp_path / "a.npz", directed=False).edge_features[:, 0].tolist() == [0, 1, 2, 0, 1, 2]
    np.savez(tmp_path / "b.npz", values=np.zeros(3))
    assert not claims(tmp_path / "b.npz")
    with pytest.raises(ValueError, match="wanted the edges as 'edges'"):
        read(tmp_path / "b.npz")


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:FutureWarning")  # of torch_geometric's own import
def test_pyg_data():
    import torch
    from torch_geometric.data import Data

    edges = torch.tensor([[0, 1], [1, 2]])
    graph = from_pyg(Data(x=torch.ones(3, 5), edge_index=edges, edge_attr=torch.ones(2, 2), pos=torch.zeros(3, 2)))
    assert (graph.nodes.shape, graph.edge_features.shape, graph.positions.shape) == ((3, 5), (2, 2), (3, 2))
    assert from_pyg(Data(edge_index=edges, num_nodes=7)).count == 7
    with pytest.raises(ValueError, match="edge_index"):
        from_pyg(Data(x=torch.ones(3, 5)))
