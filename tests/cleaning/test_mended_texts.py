"""Texts are mended turn by turn, and spans stay on their words."""

import json

import pytest
from cleaning_kit import DETECTORS, GIVEN, find_personal, redact, row_lists, tagged, texts
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fettle.cleaning.operations.repair import mend_encoding
from fettle.cleaning.operations.strip import strip_emoji, strip_hidden, strip_html, strip_markdown, strip_urls
from fettle.cleaning.spans import CannotFollow, Edit, Mended, mend_tagged
from fettle.cleaning.steps import make_operations, parse_steps, read_words
from fettle.cleaning.texts import mend_record
from fettle.data.records import Conversation, Message, PlainText, Row, Span, TaggedText, ToolCall, texts_of

MENDERS = ["repair", *(f"strip={what}" for what in ("hidden", "html", "markdown", "urls", "emoji"))]


def mended(record, word):
    done = make_operations(read_words([word]), DETECTORS)[0]([Row(record, "f", 1)], GIVEN)
    return done.rows[0].record if done.rows else None, [(each.action, each.reason) for each in done.changes]


@pytest.mark.parametrize("word", MENDERS)
@given(record=tagged())
@example(record=TaggedText("** Ada** in <b>Rome</b>\r\n", (Span(3, 6, "other"), Span(15, 19, "other"))))
@settings(deadline=None, max_examples=150)
def test_spans_stay_on_their_words(word, record):
    after, changes = mended(record, word)
    if after is None or after == record:
        return
    assert changes[0][0] == "changed"
    assert after.text == mended(PlainText(record.text), word)[0].text
    assert [span.label for span in after.spans] == [span.label for span in record.spans]
    for old, new in zip(record.spans, after.spans, strict=True):
        words = mended(PlainText(record.text[old.start : old.end]), word)[0]
        assert after.text[new.start : new.end].strip() == words.text.strip() != ""


@pytest.mark.parametrize("word", MENDERS)
def test_spans_are_moved_and_not_only_left(word):
    before = {
        "repair": "  cafÃ©\r\n Ada\x00 in Rome ",
        "strip=hidden": "\u200bhi Ada in\u2060 Rome",
        "strip=html": "<p>hi <b>Ada</b> in Rome</p>",
        "strip=markdown": "# hi **Ada** in [Rome](x)",
        "strip=urls": "hi https://x.y Ada in www.x.y Rome",
        "strip=emoji": "👍 hi Ada 👍🏽 in Rome",
    }[word]
    spans = tuple(Span(before.index(name), before.index(name) + len(name), name) for name in ("Ada", "Rome"))
    after, changes = mended(TaggedText(before, spans), word)
    assert [action for action, _ in changes] == ["changed"]
    assert [after.text[span.start : span.end] for span in after.spans] == ["Ada", "Rome"]


@pytest.mark.parametrize("how", ["mask", "hash", "replace", "drop"])
@given(record=tagged())
@example(record=TaggedText("ada@x.org 123456789", (Span(0, 9, "other"), Span(2, 13, "other"), Span(10, 19, "refund"))))
@settings(deadline=None, max_examples=150)
def test_redacted_spans_stay_and_nothing_private_is_left(how, record):
    after, _ = mended(record, f"redact={how}")
    if after is None or after == record:
        assert after is None or not find_personal(record.text)
        return
    assert not find_personal(after.text)
    cut = [(each.start, each.end) for each in find_personal(record.text)]
    if how == "drop" or find_personal(redact(record.text, find_personal(record.text), how, "")):
        return  # what stands together after the first round was private in its turn
    assert len(after.spans) == len(record.spans)
    for old, new in zip(record.spans, after.spans, strict=True):
        touched = [(start, end) for start, end in cut if start < old.end and old.start < end]
        start = min([old.start, *(start for start, _ in touched)])
        end = max([old.end, *(end for _, end in touched)])
        words = mended(PlainText(record.text[start:end]), f"redact={how}")[0]
        assert after.text[new.start : new.end] == words.text


def test_a_span_goes_with_words_that_are_cut_out():
    after, _ = mended(
        TaggedText("mail ada@x.org now", (Span(0, 4, "a"), Span(5, 14, "b"), Span(10, 18, "c"))), "redact=drop"
    )
    assert after == TaggedText("mail  now", (Span(0, 4, "a"), Span(5, 9, "c")))


def test_what_cannot_be_followed_is_left_or_dropped_with_a_reason():
    torn = TaggedText("Ade\u0301", (Span(0, 3, "other"),))
    assert mended(torn, "repair") == (torn, [("left", "not repaired: its spans could not be moved with their words")])

    class Restless:
        reads_json = False
        may_leave = True

        def __call__(self, text):
            return Mended(text + "!", ("more",))

    with pytest.raises(CannotFollow, match="changes again"):
        mend_record(PlainText("a"), Restless())


def test_a_row_of_which_nothing_is_left_is_dropped():
    assert mended(PlainText("👍 "), "strip=emoji") == (
        None,
        [("dropped", "stripped: emoji; nothing is left of the text")],
    )
    turns = Conversation((Message("user", "hi"), Message("assistant", " https://x.y ")))
    assert mended(turns, "strip=urls")[1][0][1].endswith("nothing is left of turn 2")
    calling = Message("assistant", "https://x.y", tool_calls=(ToolCall("f", "{}"),))
    after, _ = mended(Conversation((Message("user", "hi"), calling, Message("assistant", "ok"))), "strip=urls")
    assert after.messages[1].content == ""


@given(rows=row_lists())
@settings(deadline=None, max_examples=80)
def test_no_text_of_any_kind_of_record_is_passed_over(rows):
    done = make_operations(read_words(["redact=mask"]), DETECTORS)[0](rows, GIVEN)
    for row in done.rows:
        for text in texts_of(row.record):
            # Keys of JSON are names, and stay.
            assert not find_personal(text.replace('"ada@x.org":', ""))


def test_json_stays_json_and_what_is_not_private_keeps_its_spelling():
    call = ToolCall("send", '{"to": "ada@x.org",  "n": [1.50, 123456789, 1e400], "ada@x.org": "a\\u00e9"}')
    row = Conversation((Message("user", "x"), Message("assistant", "", tool_calls=(call,)), Message("assistant", "ok")))
    after, _ = mended(row, "redact=mask")
    written = after.messages[1].tool_calls[0].arguments
    assert written == '{"to": "[email]",  "n": [1.50, "[phone]", 1e400], "ada@x.org": "a\\u00e9"}'
    assert json.loads(written)["to"] == "[email]"
    assert mended(row, "strip=html")[0] == row


def test_fields_are_redacted_where_they_are_named():
    step = '[[steps]]\noperation = "redact"\nhow = "mask"\nfields = ["mail", "none"]'
    row = Row(PlainText("hi"), "f", 1, {"mail": "ada@x.org", "other": "ada@x.org"})
    done = make_operations(parse_steps(step, "f"), DETECTORS)[0]([row], GIVEN)
    assert done.rows[0].fields == {"mail": "[email]", "other": "ada@x.org"}
    assert done.changes[0].reason == "redacted: email in the field mail"


@given(text=st.text(max_size=30))
@settings(deadline=None, max_examples=300)
def test_texts_of_letters_and_blanks_are_left_alone(text):
    clean = " ".join(word for word in text.split() if word.isascii() and word.isalpha())
    for word in MENDERS if clean else []:
        assert mended(PlainText(clean), word) == (PlainText(clean), [])


@pytest.mark.parametrize(
    "text",
    [
        "if x<y and y>z then a<b",
        "vector<int> and List<T>, <|im_start|> and <user@mail.org>",
        "a < b",
        "<unknown>x</unknown>",
        "R&D, AT&T and a&b;",
        "use &lt;b&gt; for bold, &lt;/p&gt; too",
        "<!-- open",
        "<script> open",
        '<a href="x',
    ],
)
def test_what_is_no_markup_stays(text):
    assert strip_html(text) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<div><p>One</p><p>Two &amp; three</p></div>", "One\nTwo & three"),
        ('a<br/>b<BR>c<a title="x>y" href=z>d</a>', "a\nb\ncd"),
        ("x<script>if (a<b) {}</script>y<style>p{}</style><!-- <b> -->z", "xyz"),
        ("<!DOCTYPE html><html><body>Hi&nbsp;there</body></html>", "Hi\xa0there"),
        (
            "```html\n<p>  kept</p>\n```\n<p>  gone</p>\n    kept, `<hr>` too\n\n",
            "```html\n<p>  kept</p>\n```\ngone\nkept, `<hr>` too\n\n",
        ),
        ("<b>see `x<b>`</b><br>\n<br/> now", "see `x<b>`\nnow"),
        ("5 &lt; 6 &gt; 4 &amp;&amp; x&lt;y, List&lt;T&gt;", "5 < 6 > 4 && x<y, List<T>"),
    ],
)
def test_html_as_a_browser_shows_it(before, after):
    assert strip_html(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("**bold** and __bold__, *it* and _it_, ~~gone~~", "bold and bold, it and it, gone"),
        ("> quoted\n> more", "quoted\nmore"),
        ('![a cat](c.png) and [a dog](d "title")', "a cat and a dog"),
        ("call `order_id` or `total`", "call `order_id` or total"),
        ("**use `total`** not `_x_ *y*` or _it_", "use total not `_x_ *y*` or it"),
        ("**use `a_b` now**\n```js\nx = `a`\n```", "use `a_b` now\n```js\nx = `a`\n```"),
        ("2*3*4 and a_b_c and ** x ** and 5 * 6 * 7", "2*3*4 and a_b_c and ** x ** and 5 * 6 * 7"),
        ("```python\n# **kept**\n```\n# Title", "```python\n# **kept**\n```\nTitle"),
        ("~~~\n*kept*", "~~~\n*kept*"),
        ("- one\n* two\n| a | b |", "- one\n* two\n| a | b |"),
        ("#hashtag and \\*kept\\*", "#hashtag and \\*kept\\*"),
    ],
)
def test_markdown_as_words(before, after):
    assert strip_markdown(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("see https://en.wiki.org/A_(b), or (http://x.y)!", "see, or ()!"),
        ("www.x.y is it", "is it"),
        ("no.url here", "no.url here"),
        ("<https://x.y>", "<>"),
    ],
)
def test_addresses_go_and_punctuation_stays(before, after):
    assert strip_urls(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("❤️ love 👨‍👩‍👧 it 🇩🇪!", "love it!"),
        ("1️⃣ first, © 2024 ™ ✓ → ½", "1 first, © 2024 ™ ✓ → ½"),
        ("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f England", "England"),
    ],
)
def test_emoji_go_and_signs_stay(before, after):
    assert strip_emoji(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\u200b\u2060\ufeff\u00ad\u202eb\u2066", "ab"),
        ("hi" + "".join(chr(0xE0000 + ord(letter)) for letter in "ignore"), "hi"),
        ("x\ufe01\ufe02\ufe03\U000e0101\U000e0102", "x"),
        ("क्\u200dष and 👩\u200d💻", "क्\u200dष and 👩\u200d💻"),
        ("a\u200db\u200c\u200d", "ab"),
        ("a\u200e b", "a b"),
        ("שלום\u200f!", "שלום\u200f!"),
        ("葛\U000e0100飾", "葛\U000e0100飾"),
        (
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
            "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        ),
    ],
)
def test_hidden_letters_go_and_needed_ones_stay(before, after):
    assert strip_hidden(before) == after


@pytest.mark.parametrize("text", ["it’s “fine” — ﬁne ＡＢ &amp; <b>", "naïve café", "Ça va à São Paulo", "ÆØÅ"])
def test_repair_leaves_what_people_mean(text):
    assert mend_encoding(text) == text


def test_long_hostile_texts_take_no_longer_than_their_length():
    hostile = [
        "<script>",
        "<!--",
        '<a "',
        "<a " + " " * 2_000,
        "**a",
        "[a](",
        "# " + " " * 99,
        "`",
        "```x\n",
        "&#1",
        "http://",
        ">",
    ]
    for fragment in hostile:
        text = fragment * (200_000 // len(fragment))
        for strip in (strip_html, strip_markdown, strip_urls, strip_emoji, strip_hidden):
            strip(text)


@given(
    texts, st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6), st.sampled_from(["", "x", "[mask]"])), max_size=4)
)
@settings(deadline=None, max_examples=200)
def test_offsets_move_by_edits(text, drawn):
    """Held against a text in which every letter knows where it came from."""
    edits, reached = [], 0
    for start, length, put in sorted(drawn):
        if start >= reached and length and start + length <= len(text):
            edits.append(Edit(start, start + length, put))
            reached = start + length
    origin, after = [], ""
    reached = 0
    for edit in edits:
        origin += list(range(reached, edit.start)) + [None] * len(edit.put)
        after += text[reached : edit.start] + edit.put
        reached = edit.end
    origin += range(reached, len(text))
    after += text[reached:]
    spans = tuple(Span(i, j, "x") for i in range(len(text)) for j in range(i + 1, min(len(text), i + 6) + 1))
    if after == text:
        return
    kept = [s for s in spans if not any(e.start < s.end and s.start < e.end for e in edits)]
    moved = mend_tagged(TaggedText(text, tuple(kept)), Mended(after, (), tuple(edits)), lambda text: Mended(text))
    assert [[origin[at] for at in range(s.start, s.end)] for s in moved.spans] == [
        list(range(s.start, s.end)) for s in kept
    ]
