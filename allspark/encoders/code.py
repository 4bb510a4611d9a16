"""Code: a program's source as words, for the language model's own tokenizer. It is never run, and has no encoder."""

from __future__ import annotations

import re
from typing import Any

from ..items import Code
from ..modality import Modality, register


def prepare(item: Code) -> str:
    """Source with one blank per level of indentation; the language's name stands before it where it is known.

    Indentation means something, its width does not: eight blanks would cost a small tokenizer eight tokens. Tabs count
    as four blanks, other runs of blanks become one, empty lines go.

    Example:
        >>> prepare(Code("def f(x):\\n    if x:\\n        return   1\\n\\n    return 2", "python"))
        'python\\ndef f(x):\\n if x:\\n  return 1\\n return 2'
    """
    lines = [item.language.strip()] if item.language and item.language.strip() else []
    levels = [0]
    for line in item.source.replace("\x00", "").expandtabs(4).splitlines():
        words = re.sub(r"\s+", " ", line).strip()
        if not words:
            continue
        indent = len(line) - len(line.lstrip())
        while indent < levels[-1]:
            levels.pop()
        if indent > levels[-1]:
            levels.append(indent)
        lines.append(" " * (len(levels) - 1) + words)
    return "\n".join(lines)


def recognises(item: Any) -> bool:
    """Every program."""
    return isinstance(item, Code)


register(
    Modality(
        name="code",
        item=Code,
        prepare=prepare,
        encoder=None,
        prompt="A program:",
        recognises=recognises,
    )
)
