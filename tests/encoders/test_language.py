from __future__ import annotations

import pytest

from allspark.encoders.language import prepare
from allspark.items import Text


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("plain words", "plain words"),
        ("  many \t blanks  ", "many blanks"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("a \n b", "a\nb"),
        ("nul\x00l and \x07bell", "nul l and bell"),
        ("cafe\u0301", "café"),
        ("no\u00a0break", "no break"),
        ("水\u3000と", "水 と"),
    ],
)
def test_words_are_tidied(words, wanted):
    assert prepare(Text(words)) == wanted
    assert prepare(Text(wanted)) == wanted
