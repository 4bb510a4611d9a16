"""20 newsgroups by date: the bodies of messages, without headers, quotes and signatures.

python recipes/finetune/newsgroups.py --data DIR --seeds 0 1 2
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    note="headers, quotes and signatures name the group and are left out; the model reads the first 3,000 characters, "
    "TF-IDF whole messages; the head reads the mean of the pieces' embeddings, which are trained, and which words "
    "there are (--wide); the language model is not run",
)
CHARACTERS = 3_000  # of a message that the model reads


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
            Example({"language": Text(words[:CHARACTERS])}, label, part, {"language.truncate": "true"})
            for (words, *_), label, part in zip(found, labels, parts, strict=True)
        ),
    )

    def classical() -> dict[str, Any]:
        words = TfidfVectorizer(sublinear_tf=True, min_df=2)
        words.fit([text for (text, *_), part in zip(found, parts, strict=True) if part == "train"])
        features = words.transform([text for text, *_ in found])
        candidates = {
            "TF-IDF + linear SVM": (features, LinearSVC(C=0.3)),
            "TF-IDF + logistic regression": (features, SGDClassifier(loss="log_loss", alpha=3e-6, random_state=0)),
        }
        return shared.classical(candidates, labels, parts, shared.accuracy)

    reference = shared.once(given.out / "reference.json", classical)
    options = {
        "data": str(manifest), "task": "classify", "at": "words", "train": ["heads", "words"], "steps": 700,
        "batch": 64, "lr": 5e-3, "wide": 64, "apart": 0.8, "weight_decay": 0.01, "average": 0.99,
        "eval_every": 200,
    }  # fmt: skip
    shared.seeds(ROW, given, reference, options)


if __name__ == "__main__":
    main()
