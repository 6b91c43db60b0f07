"""Which of the shop's twelve products a message is about: vectors before and after tuning, words, and popularity.

    python -m benchmarks.recommend MODEL_FOLDER WORKSPACE OUT_FOLDER

MODEL_FOLDER holds an encoder (all-MiniLM-L6-v2); the bundled decoder is tuned beside it. A message is paired with the
name and the description of its product; a fifth of the messages is scored, and the product is never read off its label.
One core. What each run prints as JSON goes to OUT_FOLDER; a run whose file is there is not made again.
"""

import csv
import json
import sys
from collections import Counter
from pathlib import Path

from benchmarks.published_sets import fettle
from fettle.app.workshop.versions import load_rows
from fettle.data.versions import rows_of_part
from fettle.quality.alike.retrieval import Retriever
from fettle.storage.workspace import open_workspace

SEEDS = (0, 1, 2)
SHOP = Path(__file__).parents[1] / "src" / "fettle" / "examples" / "shop"
SETTINGS = {
    "encoder": ["training.epochs=2", "training.learning_rate=1e-4", "training.compile=off"],
    "bundled": ["training.epochs=4", "training.learning_rate=5e-4", "training.compile=off"],
}


def prepare(home: Path) -> None:
    """Pair messages with products, and cut a test part by hash."""
    home.mkdir(parents=True, exist_ok=True)
    if any(version["dataset"] == "shop" for version in fettle(home, ["data", "list"])):
        return
    with (SHOP / "catalogue.csv").open(newline="", encoding="utf-8") as source:
        items = {row["id"]: f"{row['name']}: {row['description']}" for row in csv.DictReader(source)}
    messages = [json.loads(line) for line in (SHOP / "messages.jsonl").read_text(encoding="utf-8").splitlines()]
    pairs = [{"anchor": row["text"], "positive": items[row["product"]]} for row in messages]
    file = home / "shop.jsonl"
    file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs), encoding="utf-8")
    fettle(home, ["data", "import", str(file), "--name", "shop"])
    fettle(home, ["data", "split", "shop", "--validation", "0.1", "--test", "0.2"])


def baselines(home: Path) -> dict[str, object]:
    """Recall at 3 of BM25 over the products, and of those that training rows name most."""
    _, rows = load_rows(open_workspace(home), "shop")
    known = Counter(row.record.match for row in rows_of_part(rows, "train"))
    tested = rows_of_part(rows, "test")
    items = sorted({row.record.match for row in rows})
    texts = [row.record.text for row in tested]
    right = [items.index(row.record.match) for row in tested]
    retrievers = {"bm25": Retriever.by_words(items), "popularity": Retriever.by_count([known[item] for item in items])}
    return {
        "n": len(tested),
        **{
            name: sum(rank <= 3 for rank in retriever.ranks(texts, right)) / len(tested)
            for name, retriever in retrievers.items()
        },
    }


def main(model: Path, home: Path, out: Path) -> None:
    """Score what learns nothing, then train and score with every base and seed."""
    prepare(home)
    out.mkdir(parents=True, exist_ok=True)
    found = baselines(home)
    (out / "shop-baselines.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(found, flush=True)
    for seed in SEEDS:
        for name, settings in SETTINGS.items():
            label = f"shop-{name}-{seed}"
            target = out / f"{label}.json"
            if target.exists():
                continue
            base = str(model) if name == "encoder" else name
            words = ["train", "embed", "data=shop", f"seed={seed}", *settings]
            trained = fettle(home, [*words, f"base={base}", "--name", label])
            scored = fettle(home, ["evaluate", label])
            trained["bundle"] = label
            named = f"base={model.name if name == 'encoder' else name}"
            document = {"command": ["fettle", *words, named], "threads": 1, "train": trained, "evaluate": scored}
            target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            values = {system: scores["recall_at_3"]["value"] for system, scores in scored["systems"].items()}
            print(label, f"{trained['seconds']:.0f} s", values, flush=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
