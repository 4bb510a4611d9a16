from __future__ import annotations

import pytest

from allspark.encoders.code import prepare
from allspark.items import Code

PYTHON = """
def f(x):
        if x:
                return   1

        return 2
"""


def test_indentation_becomes_one_blank_per_level():
    assert prepare(Code(PYTHON)) == "def f(x):\n if x:\n  return 1\n return 2"


def test_tabs_and_blanks_of_one_program_agree():
    assert prepare(Code("a\n\tb\n\t\tc\nd")) == prepare(Code("a\n    b\n        c\nd")) == "a\n b\n  c\nd"


def test_levels_return_to_where_they_were():
    assert prepare(Code("a\n      b\n  c\nd")) == "a\n b\n c\nd"


@pytest.mark.parametrize(("language", "start"), [("python", "python\nx"), (None, "x"), ("  ", "x")])
def test_the_language_stands_first_where_it_is_known(language, start):
    assert prepare(Code("x = 1", language)).startswith(start)


def test_nul_bytes_go():
    assert prepare(Code("x\x00 = 1")) == "x = 1"
