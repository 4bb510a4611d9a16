"""GraphML and GML by networkx, with a check for edges to nodes that are not there.

Formats: Brandes et al., "GraphML Progress Report" (2002); M. Himsolt, "GML: A portable Graph File Format" (1997).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import UnreadableFileError
from .delimited import encoding_of
from .graph_build import RawGraph
from .safe_xml import local_name, parse_xml


def read_graphml(path: Path, name: str) -> RawGraph:
    """The first graph of a GraphML file.

    Raises:
        UnreadableFileError: truncated or malformed, or no GraphML.
        ValueError: no graph, or an edge to a node that is not listed.
    """
    import networkx as nx

    root = parse_xml(path, name)
    if local_name(root) != "graphml":
        raise UnreadableFileError(f"{name} holds <{local_name(root)}>; wanted <graphml>; check its suffix")
    parts = list(root.iter())
    listed = {part.get("id") for part in parts if local_name(part) == "node"}
    for part in parts:  # networkx would make such a node, without attributes
        if local_name(part) == "edge":
            for end in (part.get("source"), part.get("target")):
                if end not in listed:
                    raise ValueError(f"an edge names node {end!r}, which {name} does not list; drop the edge or add it")
    try:
        graph = nx.read_graphml(path)
    except (nx.NetworkXError, ValueError, KeyError, AttributeError) as error:
        raise UnreadableFileError(f"{name} is no GraphML that networkx reads ({error}); write it again") from error
    return _raw(graph)


def read_gml(path: Path, name: str) -> RawGraph:
    """A GML file; nodes go by their ``id``, so that labels may repeat.

    Raises:
        UnreadableFileError: truncated or malformed, or no GML.
        ValueError: an edge to a node that is not listed.
    """
    import networkx as nx

    text = path.read_text(encoding_of(path, name))
    if text.lstrip().startswith("<"):
        raise UnreadableFileError(f"{name} holds XML; wanted graph [ … ]; Geography Markup is another format")
    try:
        graph = nx.parse_gml(text.splitlines(), label="id")
    except nx.NetworkXError as error:
        if "undefined" in str(error):  # "edge #3 has undefined target 7"
            raise ValueError(f"{name}: {error}; drop the edge or add the node") from error
        raise UnreadableFileError(f"{name} is truncated or no GML ({error}); wanted graph [ … ]") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise UnreadableFileError(f"{name} is truncated or no GML ({error}); wanted graph [ … ]") from error
    return _raw(graph)


def _raw(graph: Any) -> RawGraph:
    names = list(graph.nodes)
    if not names:
        raise ValueError("the graph has 0 nodes; wanted at least one; check the file")
    place = {node: i for i, node in enumerate(names)}
    links = list(graph.edges(data=True))
    edges = np.array([(place[a], place[b]) for a, b, _ in links], np.int64).reshape(-1, 2).T
    return RawGraph(
        names,
        edges,
        graph.is_directed(),
        _columns([graph.nodes[node] for node in names]),
        _columns([data for _, _, data in links]),
    )


def _columns(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    keys = dict.fromkeys(key for record in records for key in record)
    return {str(key): [record.get(key) for record in records] for key in keys}
