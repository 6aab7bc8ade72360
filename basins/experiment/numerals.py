"""Numbers as text: what counts as a number, as a missing value, and as a number written with other marks.

A number is digits with at most one decimal mark and an exponent, apart from surrounding white space; if a thousands
mark is given, groups of three digits too. Nothing else is read as a number: no percent sign, no currency, no other
script's digits.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MISSING = frozenset(
    {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"}
    | {"NULL", "NaN", "None", "n/a", "nan", "null"}
)
"""Among numbers these denote a missing value, as in pandas; among words all except the empty one are words."""

TRUE, FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")

GOOD_PART = 0.1
"""If at least this share of a column's values are numbers with other marks, that is not a coincidence."""

_EXPONENT = "([eE][+-]?[0-9]+)?"
_INFINITE = "[+-]?(?i:inf|infinity)"
_SPACES = " \u00a0\u2009\u202f'’_"
"""Thousands marks besides the comma and the point."""


class Marks(NamedTuple):
    """How numbers are written: the decimal mark, and the thousands mark if there is one."""

    decimal: str = "."
    thousands: str | None = None


class Texts(NamedTuple):
    """An analysed column of text: which values are numbers, and which are missing if the others are numbers."""

    values: pa.ChunkedArray
    number: Mask
    missing: Mask


def analysed(values: pa.ChunkedArray, marks: Marks) -> Texts:
    """Which values of a column of text (n,) are numbers with these marks; a null is missing."""
    trimmed = pc.ascii_trim_whitespace(values)
    number = pc.match_substring_regex(trimmed, pattern=f"^({_number(marks)}|{_INFINITE})$")
    missing = pc.is_in(trimmed, value_set=pa.array(sorted(MISSING), type=values.type))
    filled = (pc.fill_null(number, False), pc.or_(pc.fill_null(missing, False), pc.is_null(values)))
    return Texts(values, *(np.asarray(one.to_numpy(), dtype=bool) for one in filled))


def parsed(texts: Texts, marks: Marks) -> Array:
    """The numbers (n,), each rounded to the nearest double; NaN where there is none."""
    values = np.full(len(texts.values), np.nan)
    found = texts.values.filter(pa.array(texts.number)).to_pylist()
    if marks.thousands:
        found = [text.replace(marks.thousands, "") for text in found]
    if marks.decimal != ".":
        found = [text.replace(marks.decimal, ".") for text in found]
    values[texts.number] = [float(text) for text in found]
    return values


def _number(marks: Marks) -> str:
    """The pattern of a number with these marks, for Python's `re` and for RE2."""
    point = re.escape(marks.decimal)
    whole = "[0-9]+"
    if marks.thousands:
        whole = f"([0-9]+|[0-9]{{1,3}}({re.escape(marks.thousands)}[0-9]{{3}})+)"
    return f"[+-]?({whole}({point}[0-9]*)?|{point}[0-9]+){_EXPONENT}"


class Other(NamedTuple):
    """A description of a text, and the keys of [data] with which it would be read ("" if there are none)."""

    by: str
    keys: str


def by_other_marks(text: str, marks: Marks) -> Other | None:
    """A description of a text that is not a number with these marks: a number with other marks, or a date; None if it
    is neither."""
    text = text.strip()
    if re.fullmatch(_DATE, text):
        return Other("a date", "")
    if re.fullmatch("[+-]?0[xX][0-9a-fA-F]+", text):
        return Other("a hexadecimal number", "")
    latin = "".join(str(unicodedata.decimal(letter, letter)) for letter in text)
    if latin != text and re.fullmatch(_number(marks), latin):
        return Other("a number in another script's digits", "")
    for by, pattern in _DRESSED.items():
        inside = re.fullmatch(pattern, text)
        if inside:
            rest = inside[1].strip()
            if re.fullmatch(_number(marks), rest) or _by_marks(rest, marks):
                return Other(by, "")
    return _by_marks(text, marks)


_TIME = "[0-9]{1,2}:[0-9]{2}(:[0-9]{2}([.,][0-9]+)?)?( ?(Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
_DATE = (
    f"[0-9]{{4}}-[0-9]{{1,2}}-[0-9]{{1,2}}([T ]{_TIME})?"
    "|[0-9]{1,4}/[0-9]{1,2}/[0-9]{1,4}|[0-9]{1,2}[.][0-9]{1,2}[.][0-9]{2,4}"
)
_CURRENCY = "(?:[$€£¥₹₽₩]|USD|EUR|GBP|JPY|CHF|US\\$)"
_DRESSED = {
    "a number with a percent sign": "(.*)%",
    "a number with a currency sign": f"(?:{_CURRENCY}|[+-]{_CURRENCY})(.*)",
    "a number with a currency sign behind": f"(.*){_CURRENCY}",
    "a number with brackets for a minus": "\\((.*)\\)",
    "a number with another minus sign": "[−–‐](.*)",
    "a number with a minus behind": "(.*)-",
}
"""Decorations of a number, and the part of the text that is the number."""


def _by_marks(text: str, marks: Marks) -> Other | None:
    here, there = marks.decimal, "," if marks.decimal == "." else "."
    own, other = re.escape(here), re.escape(there)
    groups = f"[+-]?[1-9][0-9]{{0,2}}({other}[0-9]{{3}})"
    if re.fullmatch(groups, text) and marks.thousands != there:
        keys = f'decimal = "{there}" or thousands = "{there}"'
        return Other(f"a number with the decimal or thousands mark {there!r}", keys)
    if re.fullmatch(f"{groups}+({own}[0-9]*)?{_EXPONENT}", text):
        return Other(f"a number with the thousands mark {there!r}", f'thousands = "{there}"')
    if re.fullmatch(f"[+-]?[0-9]*{other}[0-9]+{_EXPONENT}|[+-]?[0-9]+{other}", text):
        return Other(f"a number with the decimal mark {there!r}", f'decimal = "{there}"')
    if re.fullmatch(f"[+-]?[0-9]{{1,3}}(({own}[0-9]{{3}})+{other}[0-9]*|({own}[0-9]{{3}}){{2,}}){_EXPONENT}", text):
        return Other(f"a number with the thousands mark {here!r}", f'decimal = "{there}" and thousands = "{here}"')
    spaced = re.fullmatch(
        f"[+-]?[0-9]{{1,3}}(?P<mark>[{_SPACES}])[0-9]{{3}}((?P=mark)[0-9]{{3}})*(([.,])[0-9]*)?", text
    )
    if spaced and marks.thousands != spaced["mark"]:
        keys = f'thousands = "{spaced["mark"]}"' + (f' and decimal = "{there}"' if spaced[4] == there else "")
        return Other(f"a number with the thousands mark {spaced['mark']!r}", keys)
    if re.fullmatch(f"[+-]?([0-9]+({own}[0-9]*)?|{own}[0-9]+)[dD][+-]?[0-9]+", text):
        return Other("a number with an exponent after D", "")
    return None


def first_by_other_marks(texts: Texts, marks: Marks) -> tuple[int, Other] | None:
    """The row, from 0, of the first number with other marks, if numbers with any marks make up a good part of the
    column."""
    words = np.flatnonzero(~texts.number & ~texts.missing)
    if not len(words):
        return None
    distinct: dict[str, Other | None] = {}
    found: list[tuple[int, Other]] = []
    for row, text in zip(words.tolist(), texts.values.take(pa.array(words)).to_pylist(), strict=True):
        if text not in distinct:
            distinct[text] = by_other_marks(text, marks)
        other = distinct[text]
        if other is not None:
            found.append((row, other))
    there = int((~texts.missing).sum())
    if not found or len(found) + int(texts.number.sum()) < GOOD_PART * there:
        return None
    return found[0]


def decimal_comma(columns: list[Texts]) -> bool:
    """Whether these columns (analysed with a decimal point) use a decimal comma: some number can be read in no other
    way, and no number is written with a point."""
    sure = False
    for texts in columns:
        if any("." in text for text in texts.values.filter(pa.array(texts.number)).to_pylist()):
            return False
        words = texts.values.filter(pa.array(~texts.number & ~texts.missing)).unique().to_pylist()
        sure = sure or any(
            re.fullmatch(f"[+-]?[0-9]*,[0-9]+{_EXPONENT}", text.strip()) and not _grouped(text) for text in words
        )
    return sure


def _grouped(text: str) -> bool:
    return re.fullmatch(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}", text.strip()) is not None
