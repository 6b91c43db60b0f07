"""Faults planted into published sets, and how many of them are found.

    python -m benchmarks.planted_faults --data FOLDER [--only labels,contradictions,strange] [--json]

FOLDER holds `banking77/train.csv`, `opentriviaqa/categories/`, `product_reviews/*.zip` and
`schema_guided_dialogue/train/`. Each line is one bar and its figure for seeds 0, 1 and 2.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fettle.quality.whole.contradictions import contradictions, restated_pairs
from fettle.quality.whole.labels import Suspicions, suspect_labels
from fettle.quality.whole.outliers import strangeness
from fettle.quality.whole.vectors import text_vectors

SEEDS = (0, 1, 2)
SHARE_OF_FLIPS, SHARE_OF_TRIVIA, NUM_CONTRADICTIONS, WIDTH = 0.05, 0.03, 300, 512
Figures = dict[str, Any]


def bank_queries(data: Path) -> tuple[list[str], list[str]]:
    """The texts and labels of banking77."""
    with (data / "banking77" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def trivia(data: Path) -> list[tuple[str, str]]:
    """Questions and answers of OpenTriviaQA."""
    found = []
    for path in sorted((data / "opentriviaqa" / "categories").iterdir()):
        for block in re.split(r"\n\s*\n", path.read_bytes().decode("utf-8", "replace")):
            match = re.search(r"#Q (.*?)\n\^ ([^\n]*)", block, re.DOTALL)
            found += [(" ".join(match[1].split()), match[2].strip())] if match else []
    return found


def reviews(data: Path, *, whole: bool) -> list[str]:
    """Sentences of product reviews, or whole reviews."""
    found: list[str] = []
    for name in ("product_reviews_1", "product_reviews_2"):
        with zipfile.ZipFile(data / "product_reviews" / f"{name}.zip") as archive:
            for member in archive.namelist():
                if member.endswith(".txt") and "README" not in member:
                    found += _sentences(archive.read(member).decode("latin-1"), whole=whole)
    return found


def _sentences(text: str, *, whole: bool) -> list[str]:
    """The reviews of one file: lines with `##` hold a sentence, `[t]` opens a review."""
    parts: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("[t]"):
            parts.append([line[3:].strip()])
        elif "##" in line:
            parts[-1].append(line.split("##", 1)[1].strip())
    return [" ".join(each) for each in parts if each] if whole else [one for each in parts for one in each if one]


def dialogues(data: Path, *, num_turns: int) -> list[str]:
    """Conversations with a service, cut after some turns (0: not cut)."""
    found = []
    for path in sorted((data / "schema_guided_dialogue" / "train").glob("dialogues_*.json")):
        for each in json.loads(path.read_text(encoding="utf-8")):
            turns = [turn["utterance"] for turn in each["turns"]]
            found.append("\n".join(turns[:num_turns] if num_turns else turns))
    return found


def most_similar_labels(texts: Sequence[str], labels: Sequence[str]) -> dict[str, str]:
    """For each label the other that a cross-validated classifier takes it for most."""
    found = suspect_labels(text_vectors(texts, WIDTH), labels)
    assert found is not None
    confused = np.zeros((len(found.names),) * 2)
    wrong = found.likelier_probability > found.given_probability
    np.add.at(confused, (found.given[wrong], found.likelier[wrong]), 1.0)
    np.add.at(confused, (found.given, found.likelier), 1e-3)
    np.fill_diagonal(confused, -1.0)
    return {found.names[each]: found.names[int(other)] for each, other in enumerate(confused.argmax(axis=1))}


def wrong_labels(data: Path) -> Iterator[Figures]:
    """Flipped labels among the most suspect rows."""
    texts, labels = bank_queries(data)
    began = time.process_time()
    vectors = text_vectors(texts, WIDTH)
    seconds = time.process_time() - began
    names, similar = sorted(set(labels)), most_similar_labels(texts, labels)

    def to_any(label: str, generator: np.random.Generator) -> str:
        return names[(names.index(label) + int(generator.integers(1, len(names)))) % len(names)]

    def to_similar(label: str, generator: np.random.Generator) -> str:
        return similar[label]

    kinds: list[tuple[str, float, float, Callable[[str, np.random.Generator], str]]] = [
        ("flips to any label", 0.05, 0.92, to_any),
        ("flips to the most similar label", 0.10, 0.80, to_similar),
    ]
    for name, share, bar, flip in kinds:
        figures, precisions, times = [], [], []
        for seed in SEEDS:
            generator = np.random.default_rng(seed)
            planted = generator.choice(len(labels), round(SHARE_OF_FLIPS * len(labels)), replace=False)
            spoilt = list(labels)
            for place in planted:
                spoilt[place] = flip(labels[place], generator)
            began = time.process_time()
            found = suspect_labels(vectors, spoilt)
            times.append(time.process_time() - began + seconds)
            assert found is not None
            figures.append(_recall(found, planted, share))
            precisions.append(f"{len(np.intersect1d(found.flagged, planted))} of {len(found.flagged)}")
        yield {
            "bar": f"banking77, {name}: within the {share:.0%} most suspect",
            "asked": bar,
            "figures": figures,
            "flagged": precisions,
            "seconds": [round(each, 1) for each in times],
        }


def _recall(found: Suspicions, planted: np.ndarray[Any, Any], share: float) -> float:
    """The share of planted rows among the most suspect."""
    top = found.ranked()[: round(share * len(found.given))]
    return round(len(np.intersect1d(top, planted)) / len(planted), 4)


def planted_contradictions(data: Path) -> Iterator[Figures]:
    """Rows said again in other case, spacing, signs or nearly the same words, with another label."""
    texts, labels = bank_queries(data)
    names = sorted(set(labels))
    for name, restate in RESTATED.items():
        figures = []
        for seed in SEEDS:
            generator = np.random.default_rng(seed)
            chosen = generator.choice(len(texts), NUM_CONTRADICTIONS, replace=False)
            all_texts = [*texts, *(restate(texts[place], generator) for place in chosen)]
            others = [names[(names.index(labels[place]) + int(generator.integers(1, 77))) % 77] for place in chosen]
            found = contradictions(all_texts, [*labels, *others], restated_pairs(all_texts))
            members = {place for each in found for place in each.members}
            hit = sum(place in members for place in range(len(texts), len(all_texts)))
            figures.append(round(hit / NUM_CONTRADICTIONS, 4))
        yield {"bar": f"banking77, contradictions by {name}", "asked": 0.9, "figures": figures}
    clean = contradictions(texts, labels, restated_pairs(texts))
    yield {
        "bar": "banking77 as it is, share of rows in contradictions",
        "figures": [round(len({place for each in clean for place in each.members}) / len(texts), 4)],
    }


def _slip(text: str, generator: np.random.Generator) -> str:
    """A text without one of its letters."""
    at = int(generator.integers(1, len(text) - 1))
    return text[:at] + text[at + 1 :]


RESTATED: dict[str, Callable[[str, np.random.Generator], str]] = {
    "case": lambda text, _: text.upper(),
    "spacing": lambda text, _: "  ".join(text.split()) + " ",
    "signs": lambda text, _: text.rstrip("?.!") + "…!",
    "a polite word": lambda text, _: "Hi, " + text.rstrip("?.!") + " please?",
    "a lost letter": _slip,
}


def strange_rows(data: Path) -> Iterator[Figures]:
    """Trivia questions mixed into sets of another kind, and what is flagged in the sets as they are."""
    questions = trivia(data)
    queries = bank_queries(data)[0]
    shuffled = np.random.default_rng(0).permutation(len(queries))
    sets = {
        "banking77": (queries, False),
        "banking77, the first labels": (queries[:3_000], False),
        "banking77, the last labels": (queries[-3_000:], False),
        "banking77, by chance": ([queries[place] for place in shuffled[:3_000].tolist()], False),
        "product reviews, sentences": (reviews(data, whole=False), False),
        "product reviews, whole": (reviews(data, whole=True), False),
        "service conversations": (dialogues(data, num_turns=0), True),
        "service conversations, two turns": (dialogues(data, num_turns=2), True),
    }
    for name, (texts, with_answers) in sets.items():
        found, alarms, ranked, times = [], [], [], []
        for seed in SEEDS:
            generator = np.random.default_rng(seed)
            chosen = generator.choice(len(questions), round(SHARE_OF_TRIVIA * len(texts)), replace=False)
            added = ["\n".join(questions[place]) if with_answers else questions[place][0] for place in chosen]
            order = generator.permutation(len(texts) + len(added))
            mixed = [[*texts, *added][place] for place in order]
            is_planted = order >= len(texts)
            began = time.process_time()
            looked = strangeness(mixed)
            times.append(round(time.process_time() - began, 1))
            flagged = np.isin(np.arange(len(mixed)), looked.strange)
            found.append(round(float(flagged[is_planted].mean()), 4))
            alarms.append(round(float(flagged[~is_planted].mean()), 4))
            edge = np.quantile(looked.scores[~is_planted], 0.98)
            ranked.append(round(float((looked.scores[is_planted] > edge).mean()), 4))
        clean = strangeness(texts)
        yield {
            "bar": f"{name} ({len(texts):,} rows), 3 % trivia found at no more than 2 % false alarms",
            "asked": 0.9,
            "figures": found,
            "false_alarms": alarms,
            "ranked_above_98_percent": ranked,
            "flagged_in_the_set_as_it_is": round(len(clean.strange) / len(texts), 4),
            "called_a_group": clean.is_group,
            "seconds": times,
        }


BENCHES: dict[str, Callable[[Path], Iterator[Figures]]] = {
    "labels": wrong_labels,
    "contradictions": planted_contradictions,
    "strange": strange_rows,
}


def main() -> None:
    """Measure what was asked for, and print each bar as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default=",".join(BENCHES))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    for name in asked.only.split(","):
        for figures in BENCHES[name](asked.data):
            if asked.json:
                print(json.dumps(figures), flush=True)
                continue
            rest = ", ".join(
                f"{key} {value}" for key, value in figures.items() if key not in ("bar", "asked", "figures")
            )
            bar = f" (asked {figures['asked']})" if "asked" in figures else ""
            print(f"{figures['bar']}{bar}: {figures['figures']}  {rest}", flush=True)


if __name__ == "__main__":
    main()
