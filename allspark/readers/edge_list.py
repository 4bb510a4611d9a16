"""Edge lists: tables with source and target, words on lines, and TNTP road networks."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import UnreadableFileError
from .archive import local
from .delimited import encoding_of, read_delimited
from .graph_build import RawGraph

if TYPE_CHECKING:
    import pandas as pd

SOURCE = ("source", "src", "from_node", "from_id", "source_id", "from")
TARGET = ("target", "dst", "to_node", "to_id", "target_id", "to")
NODE_ID = ("id", "node", "node_id", "name")
LINK_FROM = ("init_node", "from", "tail")  # first column of TNTP's networks and flows
COMMENTS = ("#", "%", "//")


def looks_like_edges(path: Path) -> bool:
    """Whether the first lines are pairs of whole numbers, with at most a third column of numbers."""
    with open(path, "rb") as opened:
        head = opened.read(4096)
    lines = head.decode("latin-1").splitlines()
    lines = [line.strip() for line in (lines[:-1] if len(head) == 4096 else lines)]
    lines = [line for line in lines if line and not line.startswith(COMMENTS)]
    return bool(lines) and all(re.fullmatch(r"\d+[\s,]+\d+([\s,]+-?[\d.]+(e-?\d+)?)?", line) for line in lines)


def read_edge_table(path: Path, name: str, nodes: str | PathLike[str] | None) -> RawGraph:
    """A table with the columns source and target; the others are attributes of the edges.

    Args:
        path: a real file.
        name: what errors call it.
        nodes: a second table with a column "id" and the nodes' attributes; an edge may name no other node.

    Raises:
        ValueError: no such columns, a missing end, or an edge to a node that is not listed.
    """
    frame = read_delimited(path, name)
    lower = {str(column).lower(): str(column) for column in frame.columns}
    ends = [next((lower[key] for key in usual if key in lower), None) for usual in (SOURCE, TARGET)]
    if ends[0] is None or ends[1] is None:
        raise ValueError(f"{name} has columns {', '.join(lower.values())}; wanted source and target; rename them")
    if len(frame) == 0 or frame[ends].isna().to_numpy().any():
        raise ValueError(f"{name} has no edges or edges without an end; wanted source and target in every row; mend it")
    directed = False
    if "type" in lower:  # Gephi's column
        words = set(frame[lower["type"]].astype(str).str.lower())
        if words <= {"directed", "undirected"}:
            directed = words == {"directed"}
            frame = frame.drop(columns=lower["type"])
    pairs = frame[ends].to_numpy()
    listed, columns = (None, {}) if nodes is None else _nodes(nodes)
    names, edges = _number(pairs, listed, name)
    return RawGraph(names, edges, directed, columns, _columns(frame.drop(columns=ends)))


def _nodes(path: str | PathLike[str]) -> tuple[list[Hashable], dict[str, Any]]:
    name = fspath(path)
    with local(path) as file:
        frame = read_delimited(file, name)
    lower = {str(column).lower(): str(column) for column in frame.columns}
    column = next((lower[key] for key in NODE_ID if key in lower), None)
    if column is None or frame[column].duplicated().any():
        raise ValueError(f"{name} has columns {', '.join(lower.values())}; wanted an id for each node, once; mend it")
    return frame[column].tolist(), _columns(frame.drop(columns=column))


def _columns(frame: pd.DataFrame) -> dict[str, Sequence[Any]]:
    return {str(name): frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in frame.columns}


def _number(pairs: np.ndarray, listed: list[Hashable] | None, name: str) -> tuple[list[Hashable], np.ndarray]:
    """Node names in order of appearance (or as listed), and (2, E) node numbers."""
    import pandas as pd

    if listed is None:
        codes, found = pd.factorize(pairs.reshape(-1))
        return list(found.tolist()), codes.reshape(-1, 2).T.astype(np.int64)
    codes = pd.Index(listed).get_indexer(pairs.reshape(-1)).reshape(-1, 2).T
    if (codes < 0).any():
        stray = pairs.T[codes < 0].tolist()[0]
        raise ValueError(f"an edge of {name} names node {stray!r}, which is not listed; drop the edge or add the node")
    return listed, codes.astype(np.int64)


def read_edge_words(path: Path, name: str) -> RawGraph:
    """Two nodes per line, then numbers or networkx's ``{…}``; blanks, tabs or commas between; # and % start comments.

    Raises:
        UnreadableFileError: binary data, or lines of unequal length.
        ValueError: no edges.
    """
    with open(path, encoding=encoding_of(path, name)) as opened:
        lines = [line.strip() for line in opened]
    lines = [line for line in lines if line and not line.startswith(COMMENTS)]
    if not lines:
        raise ValueError(f"{name} has no edges; wanted two nodes per line; check the file")
    if "{" in lines[0]:
        return _networkx_lines(lines, name)
    rows = [line.replace(",", " ").split() for line in lines]
    width = len(rows[0])
    odd = next((i for i, row in enumerate(rows) if len(row) != width or width < 2), None)
    if odd is not None:
        raise UnreadableFileError(
            f"{name} has {len(rows[odd])} words in line of data {odd + 1} and {width} in the first; wanted two "
            "nodes and as many numbers on every line; mend it"
        )
    names, edges = _number(np.array([row[:2] for row in rows], dtype=object), None, name)
    labels = ["weight"] if width == 3 else [f"weight_{i}" for i in range(1, width - 1)]
    columns = {label: [row[i + 2] for row in rows] for i, label in enumerate(labels)}
    return RawGraph(names, edges, False, {}, columns)


def _networkx_lines(lines: list[str], name: str) -> RawGraph:
    import networkx as nx

    try:
        graph = nx.parse_edgelist(lines, create_using=nx.MultiGraph)  # its braces are read as literals, never run
    except (TypeError, ValueError, nx.NetworkXError) as error:
        raise UnreadableFileError(f"{name} is no edge list that networkx reads ({error}); write it again") from error
    links = list(graph.edges(data=True))
    names, edges = _number(np.array([(a, b) for a, b, _ in links], dtype=object), None, name)
    keys = dict.fromkeys(key for _, _, data in links for key in data)
    return RawGraph(names, edges, False, {}, {str(key): [data.get(key) for _, _, data in links] for key in keys})


def read_tntp(path: Path, name: str) -> RawGraph:
    """A road network of the Transportation Networks collection: directed links among nodes 1 to V.

    Format: B. Stabler et al., "Transportation Networks for Research". The coordinates come from the ``_node.tntp``
    file beside a ``_net.tntp`` file, where there is one.

    Raises:
        UnreadableFileError: truncated, or no network.
        ValueError: a link to a node above the number that the header names.
    """
    header, columns, rows = _tntp(path, name)
    if not columns or columns[0] not in LINK_FROM or any(len(row) != len(columns) for row in rows):
        raise UnreadableFileError(f"{name} has columns {', '.join(columns) or 'none'}; wanted rows of a _net.tntp")
    try:
        table = np.array(rows, np.float64).reshape(-1, len(columns))
        promised = int(header.get("NUMBER OF LINKS", len(rows)))
        count = int(header.get("NUMBER OF NODES", table[:, :2].max()))
    except ValueError as error:
        raise UnreadableFileError(f"{name} is truncated or no network ({error}); wanted rows of numbers") from error
    if len(rows) != promised or not rows:
        raise UnreadableFileError(f"{name} holds {len(rows)} of {promised} links; wanted all of them; fetch it again")
    edges = table[:, :2].astype(np.int64).T - 1
    if edges.min() < 0 or edges.max() >= count:
        stray = int(edges.max() if edges.max() >= count else edges.min()) + 1
        raise ValueError(f"a link of {name} names node {stray}; its nodes are 1 to {count}; drop the link")
    beside = path.with_name(path.name.replace("_net", "_node"))
    places: dict[str, Sequence[Any]] = {}
    if beside != path and beside.exists():
        found = {int(row[0]): (float(row[1]), float(row[2])) for row in _tntp(beside, name)[2] if len(row) >= 3}
        if all(node in found for node in range(1, count + 1)):
            places = {axis: [found[node][i] for node in range(1, count + 1)] for i, axis in enumerate("xy")}
    links = {column: table[:, i] for i, column in enumerate(columns) if i > 1}
    return RawGraph(list(range(1, count + 1)), edges, True, places, links)


def _tntp(path: Path, name: str) -> tuple[dict[str, str], list[str], list[list[str]]]:
    """The <KEY> values, the column names, and the rows of words."""
    header: dict[str, str] = {}
    columns: list[str] = []
    rows: list[list[str]] = []
    with open(path, encoding=encoding_of(path, name)) as opened:
        for line in opened:
            words = line.replace(";", " ").lstrip("~ \t").split()
            key = re.match(r"\s*<([^>]+)>\s*(.*)", line)
            if key:
                header[key.group(1).strip().upper()] = key.group(2).strip()
            elif words and not columns and not words[0].isdigit():
                columns = [word.lower() for word in words]
            elif words and not line.lstrip().startswith("~"):
                rows.append(words)
    return header, columns, rows
