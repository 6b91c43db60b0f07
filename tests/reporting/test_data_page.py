"""The page holds every finding and every example once, loads nothing, and no data of it acts."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser, LexborNode

import fettle.reporting.data_page as data_page_module
from fettle.reporting.data_page import (
    MOST_BYTES,
    MOST_CLASSES,
    MOST_EXAMPLES,
    MOST_FINDINGS,
    MOST_PARTNERS,
    MOST_UNFOLDED,
    data_page,
    in_order,
    largest,
    verdict,
)
from fettle.reporting.data_report import (
    SEVERITIES,
    DataReport,
    Lengths,
    Mark,
    NotLooked,
    ShownFinding,
    ShownRow,
    lengths_of,
)

STYLE = (Path(data_page_module.__file__).parent / "templates" / "data_page.css").read_text(encoding="utf-8")
VOID = {"meta", "link", "br", "input", "img", "hr"}
# All that a page is made of. No script, image, link, frame, form or style comes in with the data.
TAGS = """html head meta title style body a header main footer section article h1 h2 h3 p dl dt dd div ol ul li table
    caption thead tbody tr th td span code mark details summary fieldset legend label input svg rect line text"""
ATTRIBUTES = """abbr lang charset name content http-equiv id class href dir start scope title type checked autocomplete
    role aria-label aria-labelledby aria-hidden viewbox preserveaspectratio x y x1 x2 y1 y2 width height text-anchor"""
NASTY = (
    "<script>alert(1)</script>",
    "</textarea></style></svg><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x="',
    "{{ 7 * 7 }}{% raw %}",
    "https://evil.example/x",
    "pay\u202etxt.exe\u2066",
    "\ud800\x00\r\n]]>&lt;&#x3c;",
    "z" + "\u0301" * 90,
    "x" * 10_000,
    "",
)
TEXT = st.sampled_from(NASTY) | st.text(st.characters(categories=None, exclude_categories=()), max_size=20)
MARKS = st.lists(st.builds(Mark, st.integers(-2, 30), st.integers(-2, 30), TEXT), max_size=3).map(tuple)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple)
PARTNER = st.builds(ShownRow, TEXT, st.integers(0, 9), TEXT, TEXT, TEXT, MARKS, PAIRS)
ROW = st.builds(
    ShownRow,
    TEXT,
    st.integers(0, 9**9),
    TEXT,
    TEXT,
    TEXT,
    MARKS,
    PAIRS,
    st.lists(PARTNER, max_size=2).map(tuple),
    st.integers(0, 40),
)
FINDING = st.builds(
    ShownFinding,
    TEXT,
    st.sampled_from(SEVERITIES),
    TEXT,
    st.integers(0, 10**6),
    st.lists(ROW, max_size=3).map(tuple),
    TEXT,
)
COUNTS = st.dictionaries(TEXT, st.integers(0, 10**6), max_size=5)
LENGTHS = st.dictionaries(st.integers(0, 10**5), st.integers(1, 9), min_size=1, max_size=5).map(
    lambda counted: lengths_of(counted, "tokens") or Lengths("tokens", (0,), ())
)
REPORT = st.builds(
    DataReport,
    TEXT,
    TEXT,
    COUNTS,
    TEXT,
    TEXT,
    st.lists(FINDING, max_size=3).map(tuple),
    COUNTS,
    st.lists(LENGTHS, max_size=2).map(tuple),
    st.lists(st.builds(NotLooked, TEXT, TEXT), max_size=2).map(tuple),
    TEXT,
)
# A page that fails is shown as it was found: to make it smaller would take minutes.
AS_FOUND = (Phase.explicit, Phase.reuse, Phase.generate)


class Tags(HTMLParser):
    """Every tag of a page with its attributes; whether all that is opened is closed, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def row(number: int, **parts: object) -> ShownRow:
    return replace(ShownRow("tickets.jsonl", number, f"row {number}", "train", "refund"), **parts)  # type: ignore[arg-type]


def finding(kind: str, severity: str = "error", num_rows: int = 3, **parts: object) -> ShownFinding:
    return ShownFinding(kind, severity, f"{num_rows} rows are {kind}.", num_rows, **parts)  # type: ignore[arg-type]


def report(*findings: ShownFinding, **parts: object) -> DataReport:
    plain = DataReport("tickets#1a2b", "classify", {"train": 80, "test": 20}, "2026-11-21", "fettle 1.2.3", findings)
    return replace(plain, **parts)  # type: ignore[arg-type]


def page_of(*findings: ShownFinding, **parts: object) -> LexborHTMLParser:
    return LexborHTMLParser(data_page(report(*findings, **parts)))


def texts(page: LexborHTMLParser | LexborNode, query: str) -> list[str]:
    return [" ".join(node.text().split()) for node in page.css(query)]


def figure(text: str) -> int:
    return int(text.replace(",", ""))


# What no data may do.


@settings(max_examples=60, deadline=None, phases=AS_FOUND)
@given(REPORT)
def test_no_data_acts_or_hides(report: DataReport) -> None:
    page = data_page(report)
    page.encode()
    tags = Tags(page)
    assert not tags.open
    assert {tag for tag, _ in tags.found} <= set(TAGS.split())
    assert {name for _, attributes in tags.found for name in attributes} <= set(ATTRIBUTES.split())
    ids = [attributes["id"] for _, attributes in tags.found if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in tags.found:
        assert attributes.get("href", "#")[:1] == "#"
        assert attributes.get("href", "#")[1:] in {"", *ids}
        assert set((attributes.get("aria-labelledby") or "").split()) <= set(ids)
    hidden = {char for char in page if not char.isprintable()} - set("\n\t\u3000\u200c\u200d")
    assert not hidden
    assert "\u0301" * 5 not in page


@settings(max_examples=60, deadline=None, phases=AS_FOUND)
@given(REPORT)
def test_every_finding_and_every_example_is_there_once(report: DataReport) -> None:
    page = LexborHTMLParser(data_page(report))
    articles = page.css("article.finding")
    assert [node.css_first(".severity").text() for node in articles] == [f.severity for f in in_order(report.findings)]
    for node, each in zip(articles, in_order(report.findings), strict=True):
        assert len(node.css("li.example")) == len(each.examples)
    assert len(page.css("table.findings tbody tr")) == len(report.findings)
    assert len(page.css("li.example")) == sum(len(each.examples) for each in report.findings)
    assert len(page.css("#not-looked tbody tr")) == len(report.not_looked)


def test_what_plain_rows_say_is_there_word_for_word() -> None:
    rows = tuple(row(number) for number in range(1, 31))
    page = page_of(finding("leak", num_rows=900, examples=rows, mend="fettle data clean tickets#1a2b drop=leak"))
    assert texts(page, ".example > .said > .text") == [f"row {number}" for number in range(1, 31)]
    assert texts(page, ".example > .where") == [f"tickets.jsonl:{number} train" for number in range(1, 31)]
    assert texts(page, ".example .facts") == ["labelrefund"] * 30
    assert texts(page, ".finding > .problem") == ["900 rows are leak."]
    assert texts(page, ".finding > .mend code") == ["fettle data clean tickets#1a2b drop=leak"]
    assert texts(page, ".finding > .aside") == ["30 of 900 rows shown."]


def test_later_examples_are_folded_and_numbered_on() -> None:
    page = page_of(finding("leak", examples=tuple(row(number) for number in range(1, 9))))
    assert len(page.css(".finding > ol > .example")) == MOST_UNFOLDED
    fold = page.css_first("details.fold")
    assert fold.css_first("summary").text() == "3 more examples"
    assert fold.css_first("ol").attributes["start"] == str(MOST_UNFOLDED + 1)
    assert not page_of(finding("leak", examples=(row(1),))).css("details.fold")


def test_a_hostile_row_is_shown_cut_and_does_nothing() -> None:
    text = "<script>alert(1)</script></textarea>\u202e" + "x" * 10_000
    page = page_of(finding("odd", examples=(row(1, text=text, file="<b>/" * 60 + "t.jsonl", answer="</dd><h1>"),)))
    shown = page.css_first(".example .text").text()
    assert shown.startswith("<script>alert(1)</script></textarea>U+202Exxx")
    assert len(shown) < 700 and re.search(r"… 9,\d{3} characters …$", shown)
    assert not page.css("script, textarea, b") and len(page.css("h1")) == 1
    assert page.css_first(".example .place").text().endswith("<b>/t.jsonl:1")


def test_a_text_that_the_template_forgets_to_clean_is_cleaned_all_the_same() -> None:
    template = data_page_module._PAGES.from_string("{{ text }}")
    assert template.render(text="<b>\u202e") == "&lt;b&gt;[U+202E]"
    assert len(template.render(text="x" * 10_000)) == 500


# What the page is.


def full_report() -> DataReport:
    partners = tuple(row(number) for number in range(20, 28))
    findings = (
        finding("imbalance", "note", 40),
        finding("duplicate", "warning", 7, examples=(row(1, partners=partners, num_partners=30),)),
        finding("leak", "error", 2, examples=(row(2, evidence=(("likeness", "0.97"),), marks=(Mark(0, 3, "x"),)),)),
        finding("wrong-label", "warning", 9, mend="fettle data clean tickets drop=wrong-label"),
    )
    lengths = (Lengths("tokens", (0, 5, 10), (60, 40), ((0.5, 4), (0.9, 8), (1.0, 9))),)
    classes = {f"class {number}": 1 + number for number in range(30)}
    return report(*findings, class_counts=classes, lengths=lengths, not_looked=(NotLooked("off-topic", "no --like"),))


def test_the_page_needs_nothing_else() -> None:
    html = data_page(full_report())
    assert "http:" not in html and "https:" not in html and "//" not in html
    assert "<script" not in html and "url(" not in html and "@import" not in html and "@font-face" not in html
    policy = LexborHTMLParser(html).css_first("meta[http-equiv]").attributes["content"]
    assert policy is not None and policy.startswith("default-src 'none';") and "script-src" not in policy


def test_headings_go_down_one_level_at_a_time() -> None:
    for each in (full_report(), report(), report(parts={})):
        levels = [int(tag[1]) for tag, _ in Tags(data_page(each)).found if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels))


def test_tables_have_captions_and_every_heading_cell_a_scope() -> None:
    page = LexborHTMLParser(data_page(full_report()))
    tables = page.css("table")
    assert len(tables) == 5
    for table in tables:
        assert table.css_first("caption").text().strip()
        assert all(cell.attributes.get("scope") in ("col", "row") for cell in table.css("th"))
        widths = {len(line.css("th, td")) for line in table.css("tr")}
        assert len(widths) == 1


def test_landmarks_are_there_and_the_language_of_the_data_is_left_open() -> None:
    page = LexborHTMLParser(data_page(full_report()))
    for landmark in ("header", "main", "footer"):
        assert len(page.css(landmark)) == 1
    assert page.css_first("html").attributes["lang"] == "en"
    assert all(node.attributes["lang"] == "" and node.attributes["dir"] == "auto" for node in page.css(".said .text"))
    assert page.css_first(".skip").attributes["href"] == "#findings"
    assert all(label.css("input") and label.text().strip() for label in page.css("label"))


def test_drawings_have_a_name_or_are_hidden_beside_their_figures() -> None:
    page = LexborHTMLParser(data_page(full_report()))
    for drawing in page.css("svg"):
        attributes = drawing.attributes
        assert attributes.get("aria-hidden") == "true" or (attributes.get("role") == "img" and attributes["aria-label"])
    assert texts(page, "details:not(.fold) tbody tr") == ["0 to 460", "5 to 940"]


def test_the_gravest_stand_first() -> None:
    page = LexborHTMLParser(data_page(full_report()))
    wanted = ["Leak", "Wrong label", "Duplicate", "Imbalance"]
    assert texts(page, "table.findings tbody th > a") == wanted
    assert [text.split(" ", 1)[1] for text in texts(page, "article h3")] == wanted
    links = [node.attributes["href"] for node in page.css("table.findings a")]
    assert links == ["#" + (node.attributes["id"] or "") for node in page.css("article.finding")]
    assert texts(page, "table.findings .severity") == ["error", "warning", "warning", "note"]
    assert texts(page, "table.findings td:last-child") == ["2.0 %", "9.0 %", "7.0 %", "40.0 %"]


@pytest.mark.parametrize(
    ("severities", "sentence"),
    [
        ([], "Nothing found in 100 rows."),
        (["note"], "1 note in 100 rows."),
        (["note", "error", "note"], "1 error and 2 notes in 100 rows."),
        (["note", "warning", "error", "error"], "2 errors, 1 warning and 1 note in 100 rows."),
    ],
)
def test_the_verdict_counts_what_was_found(severities: list[str], sentence: str) -> None:
    checked = report(*(finding("odd", severity) for severity in severities))
    assert verdict(checked) == sentence
    assert texts(LexborHTMLParser(data_page(checked)), ".verdict") == [sentence]


def test_the_verdict_says_what_nobody_looked_at() -> None:
    page = page_of(not_looked=(NotLooked("off-topic", "no rows to compare with"), NotLooked("leak", "one part only")))
    assert texts(page, ".verdict") == ["Nothing found in 100 rows. 2 checks could not run."]
    assert texts(page, "#not-looked tbody tr") == ["Off topicno rows to compare with", "Leakone part only"]
    assert "No check that ran has found anything." in page.css_first("#findings").text()
    assert not page_of().css("#not-looked")


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 1000), max_size=40))
@settings(max_examples=30, deadline=None)
def test_counts_add_up(counts: dict[str, int]) -> None:
    page = page_of(class_counts=counts, parts={"": 5, "train": 7})
    tables = page.css("table.bars")
    assert len(tables) == (2 if counts else 1)
    for table, total in zip(tables, ([sum(counts.values())] if counts else []) + [12], strict=True):
        cells = [figure(line.css(".figure")[0].text()) for line in table.css("tbody tr")]
        assert sum(cells) == total
        assert len(cells) <= MOST_CLASSES + 1
    bars = largest(counts, MOST_CLASSES)
    assert bars.rows_more + sum(count for _, count in bars.drawn) == bars.total
    assert bars.num_more == max(0, len(counts) - MOST_CLASSES)


def test_rows_of_no_part_and_of_no_label_are_called_so() -> None:
    page = page_of(class_counts={"": 2, "a": 1}, parts={"": 3, "no part": 1})
    assert texts(page, "table.bars tbody th") == ["(empty)", "a", "no part", "no part"]


def test_many_classes_are_counted_where_they_are_not_drawn() -> None:
    page = LexborHTMLParser(data_page(full_report()))
    lines = texts(page, "table.bars:has(.more) tbody tr")
    assert lines[0].startswith("class 29")
    assert len(lines) == MOST_CLASSES + 1
    assert lines[-1] == "10 more5511.8 %"
    assert [node.attributes["width"] for node in page.css("#parts-title + table rect")] == ["100", "25"]


def test_what_is_not_nothing_is_never_shown_as_nothing() -> None:
    page = page_of(finding("a", num_rows=1), finding("b", num_rows=99_999), finding("c", num_rows=0), parts={"": 10**5})
    assert texts(page, "table.findings td:last-child") == ["> 99.9 %", "< 0.1 %", "0 %"]


def test_partners_stand_with_their_row() -> None:
    page = LexborHTMLParser(data_page(full_report()))
    assert texts(page, ".partners .place") == [f"tickets.jsonl:{number}" for number in range(20, 20 + MOST_PARTNERS)]
    assert texts(page, ".partners > .more") == ["and 25 more rows"]
    uncounted = row(1, partners=(row(2), row(3)))
    assert not page_of(finding("a", examples=(uncounted,))).css(".partners > .more")
    unseen = row(1, num_partners=4)
    assert texts(page_of(finding("a", examples=(unseen,))), ".partners") == ["4 more rows"]


def test_a_partner_shows_where_it_differs() -> None:
    original = row(1, text="send the blue jacket back to me please")
    partners = (
        row(2, text=original.text, answer="status"),
        row(3, text="send the red jacket back to me please"),
        row(4, text="send the red jacket back", marks=(Mark(0, 4, "verb"),)),
    )
    page = page_of(finding("duplicate", examples=(replace(original, partners=partners),)))
    assert texts(page, ".partners .said") == [
        "the same text labelstatus",
        "send the red jacket back to me please labelrefund",
        "send(verb)".replace("(verb)", "verb") + " the red jacket back labelrefund",
    ]
    assert texts(page, "mark.differs") == ["red"]
    assert texts(page, ".example > .said > .text mark") == []


def test_a_row_says_what_is_known_of_it_and_no_more() -> None:
    bare = ShownRow("notes.txt", 0, "")
    page = page_of(finding("empty", examples=(bare,)), task="chat")
    assert texts(page, ".example .where") == ["notes.txt"]
    assert texts(page, ".example .said") == ["no text"]
    answered = replace(bare, answer="yes", evidence=(("tokens", "12"),))
    assert texts(page_of(finding("odd", examples=(answered,)), task="chat"), ".facts > div")[4:] == [
        "answeryes",
        "tokens12",
    ]


def test_a_mend_is_shown_or_its_absence_said() -> None:
    page = page_of(finding("a", mend="fettle data clean t repair"), finding("b"), mend="fettle data clean t all")
    assert texts(page, ".finding > .mend") == [
        "mend fettle data clean t repair",
        "No command mends this: look at the rows and decide.",
    ]
    assert texts(page, "#findings .mend code") == ["fettle data clean t all"]
    assert not page_of(finding("a")).css("#findings .mend")


def test_findings_can_be_filtered_where_there_is_a_choice() -> None:
    page = page_of(finding("a", "error"), finding("b", "note"))
    assert [node.attributes["id"] for node in page.css(".filter input")] == ["show-error", "show-note"]
    for severity in SEVERITIES:
        assert f"body:has(#show-{severity}:not(:checked)) .is-{severity}" in STYLE
    assert len(page.css(".is-error")) == len(page.css(".is-note")) == 2
    assert not page_of(finding("a"), finding("b")).css(".filter")


# How much there is at most.


def test_the_page_stays_small_whatever_the_data_is() -> None:
    heavy = "<\u202e\u200b" * 4000
    marks = tuple(Mark(place * 9, place * 9 + 5, heavy) for place in range(8))
    partners = tuple(ShownRow(heavy, 1, heavy + str(place), heavy, heavy, marks) for place in range(9))
    one = ShownRow(heavy, 1, heavy, heavy, heavy, marks, ((heavy, heavy),) * 30, partners)
    many = tuple(ShownFinding(heavy, "error", heavy, 10**9, (one,) * 60, heavy) for _ in range(MOST_FINDINGS + 50))
    labels = {f"{place}{heavy}": 10**12 for place in range(100)}
    unseen = (NotLooked(heavy, heavy),) * 100
    wide = Lengths(heavy, tuple(range(3001)), (10**12,) * 3000, ((0.5, 10**12),) * 99)
    page = data_page(DataReport(heavy, heavy, labels, heavy, heavy, many, labels, (wide,) * 9, unseen, heavy))
    assert MOST_BYTES * 0.9 < len(page.encode()) <= MOST_BYTES
    parsed = LexborHTMLParser(page)
    assert len(parsed.css("article.finding")) == MOST_FINDINGS
    assert "50 errors more" in parsed.css_first("#findings .aside").text()
    assert "the page has no room for more" in parsed.css_first("article .aside").text()


def test_long_rows_of_one_finding_leave_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = len(data_page(report(finding("a"), finding("b"))).encode())
    monkeypatch.setattr(data_page_module, "MOST_BYTES", bare + 10_000)
    long = tuple(row(number, text="long " * 400) for number in range(MOST_EXAMPLES))
    short = tuple(row(number) for number in range(6))
    page = page_of(finding("a", num_rows=90, examples=long), finding("b", num_rows=6, examples=short))
    shown = Counter(node.attributes["id"].rpartition("-row-")[0] for node in page.css("li.example"))
    assert shown["finding-2"] == 6
    assert 0 < shown["finding-1"] < MOST_EXAMPLES
    assert texts(page, ".finding > .aside") == [
        f"{shown['finding-1']} of 90 rows shown; the page has no room for more."
    ]
    assert len(data_page(report(finding("a", num_rows=90, examples=long))).encode()) <= bare + 10_000


def test_no_more_examples_than_can_be_looked_at() -> None:
    page = page_of(finding("a", num_rows=200, examples=tuple(row(number) for number in range(70))))
    assert len(page.css("li.example")) == MOST_EXAMPLES
    assert texts(page, ".finding > .aside") == [f"{MOST_EXAMPLES} of 200 rows shown."]


@pytest.mark.parametrize(("severity", "num_rows"), [("fatal", 1), ("error", -1)])
def test_findings_that_make_no_sense_are_refused(severity: str, num_rows: int) -> None:
    with pytest.raises(ValueError):
        finding("odd", severity, num_rows)


# How well it can be read.


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2.2 counts it: 1 is none, 21 black on white."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_enough_on_every_ground() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    grounds = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    assert len(grounds) == 3
    for ground in grounds:
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", ground))
        for text in ("ink", "muted", "link", "error", "warning", "note", "code"):
            assert contrast(colours[text], colours["surface"]) >= 4.5, text
        assert contrast(colours["ink"], colours["raised"]) >= 4.5
        assert contrast(colours["code"], colours["marked"]) >= 4.5
        assert contrast(colours["on-marked"], colours["marked"]) >= 4.5
        assert contrast(colours["drawn"], colours["surface"]) >= 3
        assert contrast(colours["mark-rule"], colours["surface"]) >= 3


def test_every_class_of_the_page_is_in_its_style() -> None:
    found = Tags(data_page(full_report())).found
    used = {name for _, attributes in found for name in (attributes.get("class") or "").split()}
    assert not {name for name in used if f".{name}" not in STYLE} - {"place", "said", "about", "fold"}
