"""Errors that know what to write instead, for people and, as `Fix`es, for their editors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from sparqc.errors import Fix, PatternError, Span, closest, did_you_mean


def misspelt(
    message: str, word: str, known: Iterable[str], span: Span | None, otherwise: str = ""
) -> PatternError:
    """The error that a word is none of the known ones: its hint and its fixes are the closest of
    them, or the hint is what else is to be said."""
    known = list(known)
    hint = did_you_mean(word, known) or otherwise
    fixes = instead(word, span, closest(word, known))
    return PatternError(message, span=span, hint=hint, fixes=fixes)


def instead(word: str, span: Span | None, others: Iterable[str]) -> tuple[Fix, ...]:
    """The fixes that write another word in place of one that stands in the line of a span; none
    where it stands elsewhere."""
    place = word_in(span, word)
    if place is None or place.text[place.column - 1 :][: place.width] != word:
        return ()
    return tuple(Fix(place, other) for other in others)


def word_in(span: Span | None, word: str) -> Span | None:
    """The place of a word in the line of a span, from where that begins; the span itself where it
    stands in another line."""
    if span is None:
        return None
    found = re.compile(rf"(?<![\w.]){re.escape(word)}(?!\w)").search(span.text, span.column - 1)
    found = found or re.compile(rf"\b{re.escape(word)}(?!\w)").search(span.text, span.column - 1)
    return replace(span, column=found.start() + 1, width=len(word)) if found else span


def behind(span: Span, text: str) -> Fix:
    """The fix that writes a text behind a span."""
    return Fix(replace(span, column=span.column + span.width, width=0), text)


def missing_colon(last: Span) -> PatternError:
    """The error that a line ends without a colon; `last` is its last letter."""
    message = "a ':' is missing at the end of this line"
    return PatternError(message, span=last, fixes=[behind(last, ":")])
