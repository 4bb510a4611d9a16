"""Language: the words themselves, for the language model's own tokenizer. There is no encoder."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from ..items import Text
from ..modality import Modality, register


def prepare(item: Text) -> str:
    """Words in Unicode's composed form, without control characters and without white space that says nothing.

    Runs of blanks become one, and paragraphs stay apart by one empty line at most.

    Example:
        >>> prepare(Text("A  lake,\\t north\\r\\n\\n\\n\\nof the town. "))
        'A lake, north\\n\\nof the town.'
    """
    words = unicodedata.normalize("NFC", item.words).replace("\r\n", "\n").replace("\r", "\n")
    words = "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else " " for c in words)
    words = re.sub(r"[^\S\n]+", " ", words)
    words = re.sub(r" ?\n ?", "\n", words)
    return re.sub(r"\n{3,}", "\n\n", words).strip()


def recognises(item: Any) -> bool:
    """Every text."""
    return isinstance(item, Text)


register(
    Modality(
        name="language",
        item=Text,
        prepare=prepare,
        encoder=None,
        prompt="A text:",
        recognises=recognises,
    )
)
