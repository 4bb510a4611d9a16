"""Words and programs: text files become ``Text``, source files ``Code`` with their language's name."""

from __future__ import annotations

import codecs
import unicodedata
from html.parser import HTMLParser
from os import PathLike, fspath
from pathlib import Path

from ..items import Code, Text
from . import UnreadableFileError, suffix_of
from .archive import local, naming

WORDS = frozenset({".txt", ".md", ".markdown", ".rst", ".html", ".htm"})
# A suffix that several languages use goes to the most common among geospatial sources: .m is MATLAB (not Objective-C),
# .h is C (not C++), .pl is Perl (not Prolog), .r is R, .v is Verilog.
LANGUAGES = {
    ".py": "python", ".pyw": "python", ".pyi": "python", ".js": "javascript", ".mjs": "javascript",
    ".jsx": "javascript", ".ts": "typescript", ".tsx": "typescript", ".c": "c", ".h": "c", ".cpp": "c++", ".cc": "c++",
    ".cxx": "c++", ".hpp": "c++", ".hh": "c++", ".hxx": "c++", ".cu": "cuda", ".java": "java", ".kt": "kotlin",
    ".scala": "scala", ".groovy": "groovy", ".go": "go", ".rs": "rust", ".zig": "zig", ".r": "r", ".jl": "julia",
    ".m": "matlab", ".sql": "sql", ".sh": "shell", ".bash": "shell", ".zsh": "shell", ".ps1": "powershell",
    ".bat": "batch", ".rb": "ruby", ".php": "php", ".swift": "swift", ".cs": "c#", ".fs": "f#", ".vb": "visual basic",
    ".f": "fortran", ".for": "fortran", ".f90": "fortran", ".f95": "fortran", ".f03": "fortran", ".f08": "fortran",
    ".lua": "lua", ".pl": "perl", ".pm": "perl", ".hs": "haskell", ".ml": "ocaml", ".ex": "elixir", ".exs": "elixir",
    ".erl": "erlang", ".clj": "clojure", ".lisp": "lisp", ".el": "emacs lisp", ".scm": "scheme", ".dart": "dart",
    ".pas": "pascal", ".pro": "idl", ".d": "d", ".nim": "nim", ".v": "verilog", ".vhd": "vhdl", ".asm": "assembly",
    ".s": "assembly", ".tcl": "tcl", ".css": "css", ".glsl": "glsl", ".proto": "protocol buffers", ".cmake": "cmake",
}  # fmt: skip
SUFFIXES = WORDS | frozenset(LANGUAGES)
MOST_CONTROLS = 0.01  # of the characters: with more, latin-1 has decoded something that is no text
MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def claims(path: str | PathLike[str]) -> bool:
    """Whether this is text: any of these suffixes is, so a .txt is asked after graphs and point clouds."""
    return suffix_of(fspath(path)) in SUFFIXES


def read(path: str | PathLike[str], *, language: str | None = None, truncate: bool = False) -> Text | Code:
    """The words or the program of a file; a program is read as text and never run.

    Args:
        path: a text file (``WORDS``; of HTML the words between the tags) or a source file (``LANGUAGES``), also
            inside a zip.
        language: the program's language, where the suffix tells another; a text file then is read as a program.
        truncate: allow a text longer than the model reads to be cut.

    Raises:
        UnreadableFileError: an empty file, or bytes that are no text in UTF-8, UTF-16 or latin-1.
        ValueError: a suffix of neither kind, or nothing but blanks.
    """
    name, suffix = fspath(path), suffix_of(fspath(path))
    if suffix not in SUFFIXES and language is None:
        raise ValueError(
            f"a {suffix or 'nameless'} file came; wanted {', '.join(sorted(WORDS))} or a program; say its language="
        )
    with local(path) as file, naming(path):
        words = decode(file, name)
        if language is None and suffix in WORDS:
            return Text(_visible(words) if suffix in (".html", ".htm") else words, truncate)
        return Code(words, language or LANGUAGES[suffix], truncate)


def decode(file: Path, name: str) -> str:
    """The characters of a file: UTF-8 without its mark, UTF-16 with one, else latin-1 where that gives text.

    Raises:
        UnreadableFileError: binary data.
    """
    content = file.read_bytes()
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            try:
                return _lines(content.decode(encoding))
            except UnicodeDecodeError as error:
                raise UnreadableFileError(f"{name} is cut off ({error}); wanted whole UTF-16; save it again") from error
    if b"\0" in content:
        raise UnreadableFileError(f"{name} holds binary data; wanted text; check that its suffix is right")
    try:
        return _lines(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        words = content.decode("latin-1")
        controls = sum(unicodedata.category(sign) == "Cc" and sign not in "\t\n\r\f" for sign in words)
        if controls > MOST_CONTROLS * len(words):
            raise UnreadableFileError(f"{name} holds no text that UTF-8 or latin-1 decodes; save it as UTF-8") from None
        return _lines(words)


def _lines(words: str) -> str:
    return words.replace("\r\n", "\n").replace("\r", "\n")


class _Visible(HTMLParser):
    """Collects what a browser would show."""

    HIDDEN = frozenset({"script", "style", "template", "head"})
    BLOCKS = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "pre"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Counts hidden elements; a block starts a line."""
        self.hidden += tag in self.HIDDEN
        if tag == "body":
            self.hidden = 0  # a head that was never closed
        if tag in self.BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Leaves a hidden element; a block ends a line."""
        if tag in self.BLOCKS:
            self.parts.append("\n")
        if tag in self.HIDDEN:
            self.hidden = max(0, self.hidden - 1)

    def handle_data(self, data: str) -> None:
        """Keeps the words that are shown."""
        if not self.hidden:
            self.parts.append(data)


def _visible(page: str) -> str:
    parser = _Visible()
    parser.feed(page)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).splitlines())
    return "\n".join(line for line in lines if line)
