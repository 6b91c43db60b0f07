"""Findings about a set as a whole: strange rows, sameness, odd forms of answers, unlike real inputs, too long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fettle.data.records import Conversation, Row, answer_text, input_text, named_texts
from fettle.quality.finding import VERSION_WORD, Finding, Given
from fettle.quality.whole.counts import diversity, lengths
from fettle.quality.whole.forms import Deviation, by_form, deviations
from fettle.quality.whole.outliers import strangeness, telling_terms
from fettle.quality.whole.unlike import unlikeness

FEWEST_ROWS = 50
MOST_ROWS_AS_EVIDENCE = 200

MOST_SHARE_OF_A_BEGINNING = 0.25
FEWEST_DISTINCT_PAIRS = 0.1
"""Of 20,000 running words: natural sets of one narrow subject have 0.2 and more, filled-in templates 0.05 and less."""

CLEARLY_UNLIKE, SOMEWHAT_UNLIKE = 0.8, 0.7
MANY_UNREACHED, SOME_UNREACHED = 0.25, 0.2
"""One real input in twenty has no row near it even where both come from one source: that is how near is defined."""


def strange_rows(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Rows that share little with the rest: a group from elsewhere is off-topic, the end of a tail only an outlier.

    What may be a rare topic is an outlier that no command drops.
    """
    texts = [_said(row) for row in rows]
    if len(texts) < FEWEST_ROWS:
        return
    given.progress("looking for rows that do not belong")
    found = strangeness(texts)
    if not found.strange:
        return
    members = found.strange
    chosen = set(members)
    terms = telling_terms(
        [texts[place] for place in members], [text for place, text in enumerate(texts) if place not in chosen]
    )
    words = f", by words such as {', '.join(f'“{term}”' for term in terms[:5])}" if terms else ""
    counted = f"{len(members):,} {'row' if len(members) == 1 else 'rows'} ({len(members) / len(rows):.1%})"
    what = {
        "group": f"{'is' if len(members) == 1 else 'are'} of another kind than the rest",
        "topic": "have more in common with one another than with the rest, and may be a rare topic or from elsewhere",
        "tail": f"{'is' if len(members) == 1 else 'are'} least like the rest",
    }
    kind = "off-topic" if found.is_group else "outlier"
    yield Finding(
        kind,
        "warning" if found.is_group else "note",
        f"{counted} {what[found.kind]}{words}",
        members,
        "" if found.kind == "topic" else f"fettle data clean {VERSION_WORD} drop={kind}",
        evidence={
            "scores": [round(float(found.scores[place]), 2) for place in members[:MOST_ROWS_AS_EVIDENCE]],
            "separation": round(found.separation, 2),
            "terms": terms,
        },
        reasons=tuple(f"{found.scores[place]:.1f} deviations from the middle of the set" for place in members),
    )


def _said(row: Row) -> str:
    """What people wrote in a row, instructions that many rows share aside; a label is no text."""
    named = named_texts(row.record)
    return "\n".join(each.text for each in named if each.name != "label" and not each.name.endswith("(system)"))


def low_diversity(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Inputs or answers that begin alike, or that are made of the same few words."""
    del given
    for name, texts in (("inputs", [_asked(row) for row in rows]), ("answers", [_answered(row) for row in rows])):
        places = [place for place, text in enumerate(texts) if text.strip()]
        if len(places) < FEWEST_ROWS:
            continue
        found = diversity([texts[place] for place in places])
        evidence = {
            "beginning": found.commonest_beginning,
            "share": round(found.its_share, 3),
            "num_beginnings": round(found.num_beginnings, 1),
            "distinct_words": round(found.distinct_words, 4),
            "distinct_pairs": round(found.distinct_pairs, 4),
        }
        if found.its_share >= MOST_SHARE_OF_A_BEGINNING:
            yield Finding(
                "low-diversity",
                "warning" if found.its_share >= 0.5 else "note",
                f"{found.its_share:.0%} of the {name} begin with “{found.commonest_beginning}”",
                tuple(places[each] for each in found.begin_so),
                evidence=evidence,
            )
        if found.num_words >= _FEWEST_WORDS and found.distinct_pairs < FEWEST_DISTINCT_PAIRS:
            yield Finding(
                "low-diversity",
                "warning",
                f"the {name} repeat themselves: of {found.num_words:,} words in a row only "
                f"{found.distinct_pairs:.1%} make a pair not seen before",
                (),
                evidence=evidence,
            )


_FEWEST_WORDS = 2_000


def _asked(row: Row) -> str:
    """The first thing that a person asks."""
    if isinstance(row.record, Conversation):
        return next((turn.content for turn in row.record.messages if turn.role == "user"), "")
    return input_text(row.record)


def _answered(row: Row) -> str:
    """The first learned answer of a conversation."""
    if not isinstance(row.record, Conversation):
        return ""
    return answer_text(row.record).removeprefix("assistant: ").split("\nuser: ")[0]


def inconsistent_format(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Answers whose form differs from the form that nearly all answers have."""
    del given
    for each in deviations([_answered(row) for row in rows]):
        kinds = ", ".join(f"{form} ({count:,})" for form, count in list(by_form(each).items())[:3])
        yield Finding(
            "inconsistent-format",
            "warning" if each.aspect in _BREAKS_PROGRAMS else "note",
            f"{_nearly_all(each.share)} of the answers have this {each.aspect}: {each.usual}; {len(each.members):,} "
            f"{'has' if len(each.members) == 1 else 'have'} not: {kinds}",
            each.members,
            f"fettle data clean {VERSION_WORD} drop=inconsistent-format" if each.aspect in _BREAKS_PROGRAMS else "",
            evidence=_forms(each),
            reasons=tuple(f"its {each.aspect} is {form}, not {each.usual}" for form in each.found),
        )


_BREAKS_PROGRAMS = ("JSON", "keys")


def _nearly_all(share: float) -> str:
    """A share that some rows fall short of, which is never rounded up to all of them.

    >>> _nearly_all(0.97), _nearly_all(0.9997)
    ('97.0%', 'more than 99.9%')
    """
    return f"{share:.1%}" if share < 0.9995 else "more than 99.9%"


def _forms(each: Deviation) -> dict[str, object]:
    """What the answers have in common, and what the first members have instead."""
    return {
        "aspect": each.aspect,
        "usual": each.usual,
        "share": round(each.share, 4),
        "found": list(each.found[:MOST_ROWS_AS_EVIDENCE]),
    }


def unlike_real_inputs(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """How a classifier tells the rows from a sample of real inputs, and which real inputs no row is near to."""
    ours, theirs = [_asked(row) for row in rows], [_asked(row) for row in given.like]
    found = unlikeness(ours, theirs)
    if found is None:
        return
    evidence = {
        "auroc": round(found.auroc, 3),
        "terms_of_rows": telling_terms(ours, theirs),
        "terms_of_real": telling_terms(theirs, ours),
        "unreached": round(len(found.unreached) / len(theirs), 3),
    }
    if found.auroc < SOMEWHAT_UNLIKE and len(found.unreached) < SOME_UNREACHED * len(theirs):
        return
    clearly = found.auroc >= CLEARLY_UNLIKE or len(found.unreached) >= MANY_UNREACHED * len(theirs)
    yield Finding(
        "unrepresentative",
        "warning" if clearly else "note",
        f"a classifier tells these rows from the sample of real inputs {found.auroc:.0%} of the time (50 % is a "
        f"guess), and {len(found.unreached):,} of {len(theirs):,} real inputs have no row near them",
        (),
        others=found.unreached,
        evidence=evidence,
    )


def too_long(rows: Sequence[Row], given: Given) -> Iterator[Finding]:
    """Rows longer than the context of the chosen base, and how long the rows are."""
    if given.num_tokens is None or not rows:
        return
    given.progress("counting tokens")
    found = lengths([given.num_tokens(row.record) for row in rows], given.most_tokens)
    evidence = {"quantiles": found.quantiles, "most_tokens": given.most_tokens}
    if found.too_long:
        longest = found.too_long[0]
        yield Finding(
            "too-long",
            "warning",
            f"{len(found.too_long):,} of {len(rows):,} rows are longer than the {given.most_tokens:,} tokens of the "
            f"context; the longest has {found.counts[longest]:,}",
            found.too_long,
            f"fettle data clean {VERSION_WORD} drop=too-long",
            evidence={**evidence, "tokens": [found.counts[place] for place in found.too_long[:MOST_ROWS_AS_EVIDENCE]]},
            reasons=tuple(f"{found.counts[place]:,} tokens, {given.most_tokens:,} fit" for place in found.too_long),
        )
    yield Finding(
        "too-long",
        "note",
        f"half of the rows have up to {found.quantiles['median']:,} tokens, nine of ten up to "
        f"{found.quantiles['90%']:,}, the longest {found.quantiles['most']:,}",
        (),
        evidence=evidence,
    )
