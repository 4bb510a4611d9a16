"""The sentences around a modality's tokens: what is asked of the language model, task by task.

They are the package's own wording; the paper does not give its prompts.
"""

from __future__ import annotations

DESCRIBE = "\nThis shows"  # stands after the tokens; the label or caption follows, for likelihoods and captions
QUESTION = "\nQuestion: {question}\nAnswer:"


def question(words: str) -> str:
    """The words that follow the tokens when a question is asked."""
    return QUESTION.format(question=words.strip())


def answer(words: str) -> str:
    """The words that the model is to give after ``DESCRIBE`` or a question: one leading space, no final stop."""
    return " " + words.strip().rstrip(".")
