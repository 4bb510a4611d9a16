"""20 newsgroups by date: the bodies of messages, without headers, quotes and signatures.

python recipes/finetune/newsgroups.py --data DIR --seeds 0 1 2
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import shared
from shared import Example, Row

from allspark.evaluate.sources.archives import tar_texts
from allspark.evaluate.sources.words import NEWSGROUPS, SHORTEST, body
from allspark.items import Text

ROW = Row(
    name="newsgroups",
    title="20 newsgroups by date, bodies alone",
    metric="accuracy",
    paper="96.78 on IMDB",
    reach="above TF-IDF + linear",
    better=lambda value, reference: value > reference,
    note="headers, quotes and signatures name the group and are left out; the model reads the first 900 characters, "
    "TF-IDF whole messages",
)
CHARACTERS = 900  # of a message that the model reads


def messages(data: Path) -> Iterator[tuple[str, str, str]]:
    """(words, group, "train" or "test") of every message of more than a line."""
    for name, message in tar_texts(data / NEWSGROUPS.files[0]):
        words = " ".join(body(message.replace("\r\n", "\n")).split())
        if len(words) >= SHORTEST:
            yield words, name.parts[-2], "test" if name.parts[0].endswith("-test") else "train"


def main() -> None:
    """Write the messages, fit the references, fine-tune."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import SGDClassifier
    from sklearn.svm import LinearSVC

    given = shared.arguments(ROW, __doc__)
    found = list(messages(given.data))
    labels, parts = [group for _, group, _ in found], [part for *_, part in found]
    seen = [i for i, part in enumerate(parts) if part == "train"]
    held = shared.held_back([f"{labels[i]}|{i}" for i in seen], share=0.05)
    for i, back in zip(seen, held, strict=True):
        parts[i] = "val" if back else "train"
    manifest = shared.write_manifest(
        given.out,
        (
            Example({"language": Text(words[:CHARACTERS])}, label, part)
            for (words, *_), label, part in zip(found, labels, parts, strict=True)
        ),
    )
    words = TfidfVectorizer(sublinear_tf=True, min_df=2)
    words.fit([text for (text, *_), part in zip(found, parts, strict=True) if part == "train"])
    features = words.transform([text for text, *_ in found])
    candidates = {
        "TF-IDF + linear SVM": (features, LinearSVC(C=0.3)),
        "TF-IDF + logistic regression": (features, SGDClassifier(loss="log_loss", alpha=3e-6, random_state=0)),
    }
    reference = shared.classical(candidates, labels, parts, shared.accuracy)
    options = {
        "data": str(manifest), "task": "classify", "train": ["heads", "lora"], "rank": 32, "alpha": 64.0, "epochs": 2,
        "batch": 32, "lr": 1e-3, "weight_decay": 0.01, "eval_every": 300, "cache_gib": 1.0,
    }  # fmt: skip
    shared.seeds(ROW, given, reference, options)


if __name__ == "__main__":
    main()
