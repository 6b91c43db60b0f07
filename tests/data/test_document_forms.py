"""CoNLL, Markdown, HTML and XML: what is read, at which line, and what is refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fettle.data.containers.opening import take_sample
from fettle.data.containers.protocol import RawRow, RefusedRow
from fettle.data.containers.table import candidates
from fettle.data.documents import html, xml_shape
from fettle.data.documents.conll import Conll
from fettle.data.documents.html import Html
from fettle.data.documents.markdown import Markdown
from fettle.data.documents.xml import Xml
from fettle.errors import RequestError


def write(folder: Path, name: str, data: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def read(container, path):
    """Rows by their line, faults by theirs."""
    found = list(container.read(path))
    rows = [(row.line, row.fields) for row in found if isinstance(row, RawRow)]
    return rows, {row.fault.line: row.fault.problem for row in found if isinstance(row, RefusedRow)}


def form_of(path: Path) -> str:
    return candidates(take_sample(path))[0][0].name


# CoNLL

SENTENCES = """-DOCSTART- -X- O O

# sent_id = 1
EU NNP B-ORG
rejects VBZ O
# O O

British JJ B-MISC
lamb NN O
. . O

\tonly B-X
"""


def test_a_sentence_is_a_row_at_the_line_where_it_starts(tmp_path):
    path = write(tmp_path, "a.txt", SENTENCES.replace("\tonly B-X\n", "Rome NNP B-LOC"))
    assert form_of(path) == "conll"
    rows, faults = read(Conll(), path)
    assert rows == [
        (3, {"tokens": ["EU", "rejects", "#"], "tags": ["B-ORG", "O", "O"]}),
        (8, {"tokens": ["British", "lamb", "."], "tags": ["B-MISC", "O", "O"]}),
        (12, {"tokens": ["Rome"], "tags": ["B-LOC"]}),
    ]
    assert not faults
    evidence = Conll().recognise(take_sample(path))
    assert "the 1 columns between not read" in evidence
    assert evidence.endswith("tags of LOC, MISC, ORG")


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_bad_line_costs_its_sentence_and_is_named(tmp_path, line_end):
    lines = ["#tag\tO", "a b\tB-X", "", "c\tO", "d", "e\tO", "", "f\tO", "\tO", "", "g\tI-X", "", "h\t", "", "i\tO"]
    path = write(tmp_path, "a.conll", line_end.join(lines))
    rows, faults = read(Conll(), path)
    assert rows == [
        (1, {"tokens": ["#tag", "a b"], "tags": ["O", "B-X"]}),
        (11, {"tokens": ["g"], "tags": ["I-X"]}),
        (15, {"tokens": ["i"], "tags": ["O"]}),
    ]
    assert faults == {5: "1 columns where others have 2", 9: "a column is empty", 13: "a column is empty"}


def test_a_quarantined_sentence_can_be_read_again(tmp_path):
    path = write(tmp_path, "a.conll", "a O\nb\n\nc B-X\nd O\n\ne O O\nf B-Y\n")
    refused = [row for row in Conll().read(path) if isinstance(row, RefusedRow)]
    form = Conll().quarantine_form(path)
    mended = form.separator.join(row.raw for row in refused).replace(b"b\n", b"b O\n").replace(b"O O", b"O")
    rows, faults = read(Conll(), write(tmp_path, "b.conll", mended))
    assert [fields["tokens"] for _, fields in rows] == [["a", "b"], ["e", "f"]]
    assert not faults


@pytest.mark.parametrize(
    "text",
    [
        "positive great film\nnegative bad film\npositive fine\nnegative poor\n",
        "one two\nthree four\n\nfive six\n",
        "text,label\na,O\nb,O\nc,O\nd,O\n",
        "1\tthe\tthe\tDET\tDT\t_\t2\tdet\t_\tO\n2\tdog\tdog\tNOUN\tNN\t_\t0\troot\t_\tO\n" * 4,
    ],
)
def test_what_only_looks_like_columns_is_no_conll(tmp_path, text):
    assert form_of(write(tmp_path, "a.txt", text)) != "conll"


TOKENS = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=6).filter(
    lambda token: not token.startswith(("#", "-DOCSTART-", "\ufeff"))
)
TAGGED = st.lists(st.tuples(TOKENS, st.sampled_from(["O", "B-PER", "I-PER"])), min_size=1, max_size=6)


@given(st.lists(TAGGED, min_size=1, max_size=6), st.sampled_from(["\t", " "]))
@settings(deadline=None, max_examples=100)
def test_written_sentences_are_read_again(tmp_path_factory, sentences, separator):
    text = "\n\n".join("\n".join(token + separator + tag for token, tag in sentence) for sentence in sentences)
    rows, faults = read(Conll(), write(tmp_path_factory.mktemp("conll"), "a.conll", text))
    assert not faults
    assert [list(zip(fields["tokens"], fields["tags"], strict=True)) for _, fields in rows] == sentences


# Markdown

PAGE = """before

# One #

text

```python
# no heading
```

## Two
a
Under
-----

Lined
=====
~~~
# code
``` no end
~~~
end
"""


def test_sections_stand_under_the_path_of_their_headings(tmp_path):
    path = write(tmp_path, "a.md", PAGE)
    assert form_of(path) == "markdown"
    rows, faults = read(Markdown(), path)
    assert [(line, fields["headings"]) for line, fields in rows] == [
        (1, ""),
        (3, "One"),
        (11, "One > Two"),
        (16, "Lined"),
    ]
    assert "# no heading" in rows[1][1]["text"]
    assert rows[2][1]["text"] == "## Two\na\nUnder\n-----"
    assert rows[3][1]["text"].endswith("~~~\n# code\n``` no end\n~~~\nend")
    assert not faults


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: x\n---\n\ntext",
        "- item\n---\n",
        "| a | b |\n---\n",
        "    # code\n",
        "#hashtag\n#7\n",
        "```\n# never closed\n",
        "two lines\nof text\n---\n",
        "~~~\n```\n# code\n~~~\n",
        "````\n```\n# code\n````\n",
        "> quoted\n---\n",
    ],
)
def test_what_is_no_heading_divides_nothing(tmp_path, text):
    path = write(tmp_path, "a.md", text)
    assert Markdown().recognise(take_sample(path)) is None
    assert [fields["text"] for _, fields in read(Markdown(), path)[0]] == [text.rstrip()]


MARKED = st.lists(
    st.sampled_from(["# a", "## b ##", "text", "", "```", "~~~", "====", "---", "- list", "    code", "#", "é"]),
    max_size=25,
)


@given(MARKED, st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None, max_examples=200)
def test_sections_joined_are_the_document(tmp_path_factory, lines, line_end):
    path = write(tmp_path_factory.mktemp("md"), "a.md", line_end.join(["start", *lines, "end"]))
    rows, faults = read(Markdown(), path)
    joined = [line for _, fields in rows for line in fields["text"].splitlines() if line.strip()]
    assert joined == [line for line in ["start", *lines, "end"] if line.strip()]
    assert not faults
    for line, fields in rows:
        assert ["start", *lines, "end"][line - 1] == fields["text"].splitlines()[0]


def test_a_badly_encoded_section_costs_itself(tmp_path):
    path = write(tmp_path, "a.md", b"# One\n\ntext\n\n# Two\n\nbad \xff\n\n# Three\nend\n")
    rows, faults = read(Markdown(), path)
    assert [fields["headings"] for _, fields in rows] == ["One", "Three"]
    assert list(faults) == [5]


# HTML

SHORT = """<!DOCTYPE html>
<html><head><title> A  page </title><style>p {}</style><script>var a = "<h1>no</h1>";</script></head>
<body><h1>Top &amp; first</h1>
<p>One <b>bold</b>word,
 next&nbsp;line.<p>Two<br>three<!-- <h2>no</h2> -->
<div hidden>secret</div><p style="color: red; Display : none">secret</p>
<ul><li>x<li>y</ul><table><tr><td>1<td>2<tr><td>3</table><pre>  kept
  as it is</pre><noscript>no</noscript><h2>Below</h2>last</body></html>"""


def test_a_short_page_is_the_text_that_people_see(tmp_path):
    path = write(tmp_path, "a.txt", SHORT)
    assert form_of(path) == "html"
    rows, faults = read(Html(), path)
    assert not faults
    [(line, fields)] = rows
    assert (line, fields["title"], fields["headings"]) == (1, "A page", "")
    assert fields["text"].split("\n") == [
        *("Top & first", "", "One boldword, next\xa0line.", "", "Two", "three", "", "x", "y", "", "1\t2", "3", ""),
        *("  kept", "  as it is", "", "Below", "", "last"),
    ]


def test_a_long_page_is_cut_at_its_headings(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "LONG_PAGE_CHARACTERS", 20)
    rows, faults = read(Html(), write(tmp_path, "a.html", SHORT))
    assert [(line, fields["headings"]) for line, fields in rows] == [(3, "Top & first"), (8, "Top & first > Below")]
    assert not faults
    [(_, whole)], _ = read(Html(is_whole=True), tmp_path / "a.html")
    assert whole["text"].replace("\n", "") == "".join(fields["text"] for _, fields in rows).replace("\n", "")


def test_lines_are_told_only_where_they_are_certain(tmp_path, monkeypatch):
    monkeypatch.setattr(html, "LONG_PAGE_CHARACTERS", 1)
    page = "<html>\n<textarea><h1>no</h1></textarea>\n<h1>a</h1>\n<h2>b</h2>"
    rows, _ = read(Html(), write(tmp_path, "a.html", page))
    assert [line for line, _ in rows] == [1, 1]


def test_pages_that_show_nothing_or_cannot_be_read_are_refused(tmp_path):
    assert "shows no text" in read(Html(), write(tmp_path, "a.html", "<html><script>x</script>"))[1][1]
    assert "not UTF-8" in read(Html(), write(tmp_path, "b.html", b"<html>\xff" + b"a\n" * 9))[1][1]
    start = time.monotonic()
    assert "nested too deeply" in read(Html(), write(tmp_path, "c.html", "<html>" + "<div>" * 100_000))[1][1]
    assert time.monotonic() - start < 5
    assert "nested too deeply" in read(Html(), write(tmp_path, "e.html", "<html>" + "<div>" * 1_001 + "a"))[1][1]
    assert read(Html(), write(tmp_path, "d.html", "<html>" + "<div><p>" * 1_000 + "deep"))[0][0][1]["text"] == "deep"


# XML

BOOKS = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE shelf SYSTEM "shelf.dtd">
<shelf owner="Ann">
 <note>all mine</note>
 <book id="1"><title>A &amp; B</title><author><name>Cy</name></author><tag>x</tag><tag>y</tag></book>
 <book id="2">
  <title>Longer words that are most of the text, <i>so</i> this counts</title><author><name>Di</name></author>
 </book>
</shelf>"""


def test_a_repeated_element_is_a_row_at_its_line(tmp_path):
    path = write(tmp_path, "a.xml", BOOKS)
    assert form_of(path) == "xml"
    rows, faults = read(Xml(), path)
    assert rows == [
        (5, {"book@id": "1", "title": "A & B", "author/name": "Cy", "tag": ["x", "y"]}),
        (
            6,
            {
                "book@id": "2",
                "title": "Longer words that are most of the text, so this counts",
                "author/name": "Di",
            },
        ),
    ]
    assert not faults
    assert "every <book> a row with the columns (book@id, title, author/name, tag)" in Xml().recognise(
        take_sample(path)
    )


def test_rows_of_attributes_and_single_rows(tmp_path):
    path = write(tmp_path, "a.xml", '<r>\n<row text="one" label="x"/>\n<row text="two" label="y">z</row>\n</r>')
    assert read(Xml(), path)[0] == [
        (2, {"row@text": "one", "row@label": "x", "row": ""}),
        (3, {"row@text": "two", "row@label": "y", "row": "z"}),
    ]
    path = write(tmp_path, "b.xml", "<d><focus>F</focus><pairs><pair><q>Why so?</q><a>Because.</a></pair></pairs></d>")
    assert read(Xml(), path)[0] == [(1, {"q": "Why so?", "a": "Because."})]


def test_prose_is_one_document(tmp_path):
    text = "<doc>\n<p>One <b>bold</b> word.</p>\n<p>Two</p>\n<p>a<i>b</i>c &#233;</p>\n</doc>"
    rows, _ = read(Xml(), write(tmp_path, "a.xml", text))
    assert rows == [(1, {"text": "One bold word.\nTwo\nabc é"})]
    table = "<cell><a>1</a><b>2</b></cell>" * 3
    rows, _ = read(Xml(), write(tmp_path, "b.xml", f"<doc>{table}<body>words that are most of the text</body></doc>"))
    assert rows == [(1, {"text": "1\n2\n" * 3 + "words that are most of the text"})]


BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">]>
<lolz>&lol2;</lolz>"""


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        (BOMB, "declares entities", 2),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "declares entities", 1),
        ('<!DOCTYPE a [<!ENTITY % x SYSTEM "http://host/x.dtd"> %x;]><a>b</a>', "declares entities", 1),
        ('<!DOCTYPE a SYSTEM "a.dtd">\n<a>caf&eacute;</a>', "uses what another file declares", 2),
        ("<a>\n<b>text</b>\n<c></a>", "mismatched tag", 3),
        ("<a>\n<b>text</b>\n", "no element found", 3),
        ("<a>x & y</a>", "not well-formed", 1),
        ("<a>b</a>\n<c/>", "junk after document element", 2),
        ("<a>" * 300 + "</a>" * 300, "nested too deeply", 1),
        ('<a b="1" b="2">c</a>', "duplicate attribute", 1),
    ],
)
def test_what_is_no_honest_xml_is_refused_with_its_line(tmp_path, text, problem, line):
    path = write(tmp_path, "a.xml", text)
    assert Xml().recognise(take_sample(path)) is not None
    with pytest.raises(RequestError, match=problem) as caught:
        list(Xml().read(path))
    assert caught.value.where == f"{path}:{line}"


def test_a_tag_without_end_takes_no_quadratic_time(tmp_path, monkeypatch):
    monkeypatch.setattr(xml_shape, "MAX_ROW_BYTES", 3_000_000)
    path = write(tmp_path, "a.xml", b'<a>\n<b c="' + b"x" * 30_000_000)
    start = time.monotonic()
    with pytest.raises(RequestError, match="longer than a row may be"):
        list(Xml().read(path))
    assert time.monotonic() - start < 5


def test_a_row_and_a_document_that_are_too_long_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("fettle.data.documents.xml.MAX_ROW_BYTES", 200)
    monkeypatch.setattr("fettle.data.containers.opening.MAX_ROW_BYTES", 200)
    rows = "".join(f"<r>\n<q>{'w ' * size}</q><a>x</a></r>\n" for size in (5, 500, 5))
    found, faults = read(Xml(), write(tmp_path, "a.xml", f"<d>{rows}</d>"))
    assert [line for line, _ in found] == [1, 5]
    assert list(faults) == [3]
    found, faults = read(Xml(), write(tmp_path, "b.xml", "<d>" + "w " * 500 + "</d>"))
    assert not found
    assert list(faults) == [1]


def test_an_older_encoding_is_read_as_it_says(tmp_path):
    text = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<d>\n<p>plain</p>\n<p>café</p>\n<p>plain</p>\n</d>'
    rows, _ = read(Xml(), write(tmp_path, "a.xml", text.encode("latin-1")))
    assert rows == [(1, {"text": "plain\ncafé\nplain"})]


NAMES = st.sampled_from(["q", "a", "note"])
WORDS = st.text(st.characters(codec="utf-8", min_codepoint=32, exclude_characters="\r"), max_size=9).map(str.strip)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=2, max_size=5))
@settings(deadline=None, max_examples=100)
def test_written_rows_are_read_again(tmp_path_factory, pairs):
    def escaped(text: str) -> str:
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    pairs = [(f"q{question}q", f"a{answer}a") for question, answer in pairs]
    body = "".join(f"<r>\n<q>{escaped(question)}</q><a>{escaped(answer)}</a></r>\n" for question, answer in pairs)
    allowed = all(letter.isprintable() or letter == "\n" for pair in pairs for text in pair for letter in text)
    if not allowed:
        return
    rows, faults = read(Xml(), write(tmp_path_factory.mktemp("xml"), "a.xml", f"<d>\n{body}</d>"))
    assert [(fields["q"], fields["a"]) for _, fields in rows] == pairs
    assert [line for line, _ in rows] == [2 + 2 * number for number in range(len(pairs))]
    assert not faults
