"""Graphs: GraphML and GML (networkx), edge lists, TNTP road networks, arrays, and PyG's ``Data``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from ..items import Graph
from . import suffix_of
from .archive import local, naming
from .edge_list import SOURCE, TARGET, looks_like_edges, read_edge_table, read_edge_words, read_tntp
from .graph_build import NamedGraph, assemble
from .numpy_file import load_arrays, names

EDGES = ("edges", "edge_index")  # names in an .npz, each with PyG's beside it
NODES, EDGE_FEATURES, POSITIONS = ("nodes", "x", "features"), ("edge_features", "edge_attr"), ("positions", "pos")
SUFFIXES = frozenset({".graphml", ".gml", ".edgelist", ".edges", ".tntp", ".csv", ".tsv", ".txt", ".npz"})


def claims(path: str | PathLike[str]) -> bool:
    """Whether an ambiguous file is a graph: columns source and target, pairs of whole numbers, or an array of edges."""
    suffix = suffix_of(fspath(path))
    with local(path) as file:
        if suffix in (".csv", ".tsv"):
            from .delimited import columns

            found = set(columns(file, fspath(path)))
            return bool(found & set(SOURCE) and found & set(TARGET))
        if suffix == ".txt":
            return looks_like_edges(file)
        if suffix == ".npz":
            return any(name in EDGES for name in names(file))
    return suffix in SUFFIXES


def read(
    path: str | PathLike[str],
    *,
    directed: bool | None = None,
    node_features: Sequence[str] | None = None,
    edge_features: Sequence[str] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    nodes: str | PathLike[str] | None = None,
) -> Graph:
    """The graph of a file, by ``read_named``, which documents the options and also tells the nodes' names."""
    return read_named(
        path,
        directed=directed,
        node_features=node_features,
        edge_features=edge_features,
        categories=categories,
        nodes=nodes,
    ).graph


def read_named(
    path: str | PathLike[str],
    *,
    directed: bool | None = None,
    node_features: Sequence[str] | None = None,
    edge_features: Sequence[str] | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    nodes: str | PathLike[str] | None = None,
) -> NamedGraph:
    """The graph of a file with the names of its nodes and columns.

    Nodes are numbered as the file lists them, or, in an edge list, in order of appearance. Attributes of numbers (or of
    words that are all numbers) become columns, in the order of their names. Attributes of words become one column per
    word if there are at most 64 of them, each used twice on average; otherwise they are names and are left out. As a
    file shows only its own words, give ``categories`` where graphs of several files must agree. ``lon`` and ``lat``,
    ``x`` and ``y``, ``pos`` or GML's ``graphics`` are positions.

    Args:
        path: .graphml .gml .edgelist .edges .tntp .csv .tsv .txt .npz, also inside a zip.
        directed: None goes by the file: GraphML and GML say it, TNTP and .npz are directed, edge lists are not.
            Undirected edges are given in both directions, once each.
        node_features: the attributes wanted, in this order; None takes all.
        edge_features: the same for edges.
        categories: attribute -> its words.
        nodes: for an edge list in .csv, a second .csv with a column "id" and the nodes' attributes.

    Raises:
        UnreadableFileError: empty, truncated or of another kind than its name says.
        ValueError: an edge to a node that is not listed, an attribute that some nodes lack, or no edges at all.
    """
    name, suffix = fspath(path), suffix_of(fspath(path))
    companion = Path(name.split("::")[0]).name.replace("_net", "_node")
    with local(path, also=[companion] if suffix == ".tntp" else []) as file, naming(path):
        if suffix == ".npz":
            return _from_arrays(file, name, bool(directed is None or directed))
        if suffix in (".graphml", ".gml"):
            from .graph_markup import read_gml, read_graphml

            raw = (read_graphml if suffix == ".graphml" else read_gml)(file, name)
        elif suffix == ".tntp":
            raw = read_tntp(file, name)
        elif suffix in (".csv", ".tsv"):
            raw = read_edge_table(file, name, nodes)
        elif suffix in SUFFIXES:
            raw = read_edge_words(file, name)
        else:
            raise ValueError(f"a {suffix or 'nameless'} file came; wanted {', '.join(sorted(SUFFIXES))}; convert it")
        one_way = raw.directed if directed is None else directed
        return assemble(raw, one_way, node_features, edge_features, categories or {})


def _from_arrays(file: Path, name: str, directed: bool) -> NamedGraph:
    arrays = load_arrays(file, name)

    def find(usual: Sequence[str]) -> np.ndarray | None:
        return next((arrays[key] for key in usual if key in arrays), None)

    edges = find(EDGES)
    if edges is None:
        raise ValueError(f"the arrays are {', '.join(arrays) or 'none'}; wanted the edges as 'edges', (2, E) numbers")
    if edges.ndim == 2 and edges.shape[0] != 2 and edges.shape[1] == 2:
        edges = edges.T
    features = find(EDGE_FEATURES)
    if not directed:
        from .graph_build import both_directions

        edges, index = both_directions(edges)
        features = None if features is None else features[index]
    graph = Graph(edges, find(NODES), features, find(POSITIONS))
    return NamedGraph(graph, tuple(range(graph.count or 0)), (), ())


def from_pyg(data: Any) -> Graph:
    """The graph of a ``torch_geometric.data.Data``: edge_index, and x, edge_attr, pos and num_nodes where they are set.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from_pyg(Data(x=torch.zeros(3, 5), edge_index=torch.tensor([[0, 1], [1, 2]]))).nodes.shape
        (3, 5)

    Raises:
        ValueError: no edge_index.
    """
    edges = getattr(data, "edge_index", None)
    if edges is None:
        raise ValueError(f"a {type(data).__name__} without edge_index came; wanted a PyG Data with edge_index (2, E)")

    def array(name: str) -> np.ndarray | None:
        value = getattr(data, name, None)
        return None if value is None else value.detach().cpu().numpy()

    nodes, positions = array("x"), array("pos")
    count = getattr(data, "num_nodes", None) if nodes is None and positions is None else None
    return Graph(edges.detach().cpu().numpy(), nodes, array("edge_attr"), positions, count)
