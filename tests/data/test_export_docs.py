"""The page on exports says what the forms are: its table and its samples are made from them.

`PYTHONPATH=src python tests/data/test_export_docs.py` writes them anew.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from export_kit import SAMPLES, row_of

from fettle.data.exports.exporting import export_rows
from fettle.data.exports.form import Form, kind_name
from fettle.data.exports.table import FORMS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "exports.md"
MARKS = ("<!-- forms -->\n", "<!-- end of forms -->\n")


def sample(form: Form, folder: Path) -> str:
    """The sample of the first kind that a form takes, as it is written; for binary files what their columns are."""
    kind = next(iter(form.rules))
    suffix = ".csv" if ".csv" in form.suffixes else form.suffixes[0]
    if suffix == ".xlsx" or suffix == ".parquet":
        return f"(columns like those of {'csv' if suffix == '.xlsx' else 'jsonl, by their own types'})"
    done = export_rows([row_of(SAMPLES[kind.__struct_config__.tag])], form, folder / form.name)
    if suffix != form.suffixes[0]:
        done = export_rows([row_of(SAMPLES[kind.__struct_config__.tag])], form, folder / f"{form.name}{suffix}")
    return done.files[0].path.read_text(encoding="utf-8").rstrip("\n")


def entry(form: Form, folder: Path) -> str:
    """What the page says of one form."""
    limits = form.limits
    said = [
        f"at least {limits.least_rows} rows that train" if limits.least_rows > 1 else "",
        f"at most {limits.most_rows:,} rows" if limits.most_rows else "",
        f"at most {limits.most_bytes:,} bytes" if limits.most_bytes else "",
        f"a folder needs {' and '.join(limits.needed_parts)}" if limits.needed_parts else "",
        "no row in two files of one folder" if limits.has_no_row_twice else "",
    ]
    lines = [f"- **takes** {', '.join(map(kind_name, form.rules))}"]
    lines += [f"- **files** {', '.join(form.suffixes)}" + (" in a folder, always" if form.is_folder else "")]
    limited = [words for words in said if words]
    lines += [f"- **limits** {'; '.join(limited)} ({limits.source})"] if limited else []
    for kinds, by_source in asked_of(form).items():
        asked = "; ".join(f"{', '.join(rules)} ({source})" for source, rules in by_source)
        lines.append(f"- **asks of {kinds}** {asked}")
    return f"### {form.name}\n{form.summary}\n\n```\n{sample(form, folder)}\n```\n\n" + "\n".join(lines) + "\n"


def asked_of(form: Form) -> dict[str, tuple[tuple[str, tuple[str, ...]], ...]]:
    """The rules of a form by source, for each kind or for several kinds that have the same."""
    kinds_by_rules: dict[tuple[tuple[str, tuple[str, ...]], ...], list[str]] = {}
    for kind, rules in form.rules.items():
        by_source: dict[str, list[str]] = {}
        for rule in rules:
            by_source.setdefault(rule.source, []).append(rule.expected)
        key = tuple((source, tuple(dict.fromkeys(expected))) for source, expected in by_source.items())
        kinds_by_rules.setdefault(key, []).append(kind_name(kind))
    return {" and ".join(kinds): rules for rules, kinds in kinds_by_rules.items() if rules}


def forms_section() -> str:
    """What stands between the marks of the page."""
    with tempfile.TemporaryDirectory() as folder:
        return "\n" + "\n".join(entry(form, Path(folder)) for form in FORMS.values()) + "\n"


def test_the_page_says_what_the_forms_are():
    text = PAGE.read_text(encoding="utf-8")
    assert text.split(MARKS[0])[1].split(MARKS[1])[0] == forms_section(), "write it anew: see the head of this file"


def test_every_form_is_named_in_the_prose():
    prose = re.sub(f"{MARKS[0]}.*{MARKS[1]}", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not [name for name in FORMS if f"`{name}`" not in prose]


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    PAGE.write_text(before + MARKS[0] + forms_section() + MARKS[1] + rest.partition(MARKS[1])[2], encoding="utf-8")
