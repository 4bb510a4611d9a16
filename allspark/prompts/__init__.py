"""Words and learned vectors that stand around a modality's tokens."""

from .soft import SoftPrompts
from .templates import DESCRIBE, answer, question

__all__ = ["DESCRIBE", "SoftPrompts", "answer", "question"]
