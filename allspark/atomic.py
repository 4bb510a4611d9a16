"""Files that are either whole or not there: written beside their place, then renamed into it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Put ``content`` (text as UTF-8) at ``path``; a reader never sees half of it, a failure leaves the old file.

    Args:
        path: the file; missing parent folders are made.
        content: all of it.

    Returns:
        The path.

    Raises:
        OSError: the folder cannot be written.

    Example:
        >>> folder = Path(tempfile.mkdtemp())
        >>> write(folder / "a" / "note.txt", "whole").read_text()
        'whole'
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The same folder, because a rename is atomic only within one file system.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp's 0600 would hide the file from colleagues
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return target
