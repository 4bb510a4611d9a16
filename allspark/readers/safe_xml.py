"""XML from users, parsed by the standard library with the door shut on entity expansion."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from . import UnreadableFileError


class _Builder(ElementTree.TreeBuilder):
    """A tree builder that stops at a document type: entities can only be declared there."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called by the parser before anything inside the declaration is used."""
        raise _DoctypeError


class _DoctypeError(Exception):
    pass


def parse_xml(path: Path, name: str) -> ElementTree.Element:
    """The root element of an XML file.

    Args:
        path: a real file.
        name: what errors call it.

    Raises:
        UnreadableFileError: truncated or malformed.
        ValueError: a DOCTYPE, whose entities could expand without limit.
    """
    try:
        return ElementTree.parse(path, ElementTree.XMLParser(target=_Builder())).getroot()
    except _DoctypeError:
        raise ValueError(f"{name} declares a DOCTYPE; wanted XML without entities; remove it") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UnreadableFileError(f"{name} is truncated or malformed XML ({error}); wanted a whole file") from error


def local_name(element: ElementTree.Element) -> str:
    """ "trkpt" of "{http://www.topografix.com/GPX/1/1}trkpt": versions differ in the namespace only."""
    return element.tag.rpartition("}")[2]
