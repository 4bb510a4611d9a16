"""Small real files for every modality; README.md beside this file names their sources and licences."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent


def sample(name: str) -> Path:
    """The path of a sample by its stem ("rgb_lake"); an ENVI image gives its data file, not the header.

    Raises:
        ValueError: no such sample; the message lists them.
    """
    files = {p.stem: p for p in sorted(_FOLDER.iterdir()) if p.suffix not in {".hdr", ".md"} and p.stem != "__init__"}
    files = {stem: path for stem, path in files.items() if path.is_file()}
    if name not in files:
        raise ValueError(f"there is no sample {name!r}; wanted one of {', '.join(files)}")
    return files[name]
