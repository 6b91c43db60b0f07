"""What cleaning is worth: banking77 with planted faults, tuned as it is, after `fettle data clean`, and cut by chance.

    python -m benchmarks.what_cleaning_is_worth --data FOLDER_OF_banking77 --trivia FOLDER_OF_opentriviaqa --json OUT

Of a stratified sample of the training rows 0, 10, 20 and 40 % are spoilt: in equal thirds they get a wrong label,
become a near duplicate of another row, or a trivia question with a label by chance. The bundled base is tuned with the
same steps and seed on the rows as they are, on what cleaning leaves, and on as many of the rows drawn by chance: fewer
rows at the same steps are each seen more often, which is no merit of cleaning. All are scored on the same rows of the
published test, which are never cleaned. OUT is written after every run, and a run that it holds is not made again.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import resource
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import Queue, get_context
from pathlib import Path
from typing import Any

from benchmarks.planted_faults import trivia
from fettle.app import running, using
from fettle.app.planning import resolve_plan
from fettle.app.workshop.cleaning import CleanRequest, CleanResult, clean_data, steps_of
from fettle.app.workshop.importing import import_data
from fettle.app.workshop.splitting import split_data
from fettle.data.splits.split import Shares, SplitSettings
from fettle.generation import scoring
from fettle.storage.workspace import open_workspace

SHARES, JUDGED_SHARES, SEEDS = (0.0, 0.1, 0.2, 0.4), (0.2, 0.4), (0, 1, 2)
SOUND, WRONG_LABEL, NEAR_DUPLICATE, OFF_TOPIC = "sound", "wrong_label", "near_duplicate", "off_topic"
FAULTS = (WRONG_LABEL, NEAR_DUPLICATE, OFF_TOPIC)
CLEANING = ("deduplicate=near", "drop=wrong-label", "drop=off-topic", "drop=outlier")
NUM_TEST_ROWS, LEAST_SHARE_WON_BACK = 500, 0.5
RULE = "cleaning wins back at least half of the points lost at 20 and 40 %, mean of three seeds"
AS_IT_IS, CLEANED, BY_CHANCE = "as_it_is", "cleaned", "cut_by_chance"
ARMS = (AS_IT_IS, CLEANED, BY_CHANCE)
Labelled = tuple[str, str]
Figures = dict[str, Any]


@dataclass(frozen=True)
class Planted:
    """A row and what is wrong with it. `source` is the place of the row that a near duplicate repeats, else -1."""

    text: str
    label: str
    fault: str = SOUND
    source: int = -1


@dataclass(frozen=True)
class Trial:
    """One run to make: which rows, what is done to them before, and with which settings."""

    seed: int
    share: float
    arm: str
    num_rows: int
    num_steps: int

    def settings(self) -> list[str]:
        """The settings of the run. The last weights are kept, so that nothing is chosen by rows that may be spoilt."""
        return [
            "data=rows",
            "base=bundled",
            f"seed={self.seed}",
            "training.epochs=1000",
            f"training.max_steps={self.num_steps}",
            "training.learning_rate=1e-3",
            "training.keep=last",
            "training.compile=off",
            f"training.evaluate_every_steps={self.num_steps}",
        ]


def in_order(seeds: Sequence[int], num_rows: int, num_steps: int) -> list[Trial]:
    """All runs: what the rule needs first, the runs that nothing is done before ahead of the others.

    >>> [(trial.seed, trial.share, trial.arm) for trial in in_order([0, 1], 10, 1)][5:8]
    [(1, 0.4, 'as_it_is'), (0, 0.0, 'cleaned'), (0, 0.0, 'cut_by_chance')]
    """
    found = [Trial(seed, share, arm, num_rows, num_steps) for seed in seeds for share in SHARES for arm in ARMS]

    def rank(trial: Trial) -> tuple[bool, bool]:
        return trial.share not in (0.0, *JUDGED_SHARES), trial.arm != AS_IT_IS

    return sorted(found, key=rank)


def labelled_rows(file: Path) -> list[Labelled]:
    """The texts and labels of one of the files of banking77."""
    with file.open(encoding="utf-8", newline="") as opened:
        return [(" ".join(row["text"].split()), row["category"]) for row in csv.DictReader(opened)]


def stratified(rows: Sequence[Labelled], num_rows: int, seed: int) -> list[Labelled]:
    """A sample in which labels are as common as among all rows, in an order by chance.

    >>> sorted(label for _, label in stratified([("a", "x"), ("b", "y"), ("c", "x"), ("d", "y")], 2, 0))
    ['x', 'y']
    """
    generator = random.Random(seed)
    by_label = sorted(generator.sample(list(rows), len(rows)), key=lambda row: row[1])
    chosen = [by_label[place * len(rows) // num_rows] for place in range(num_rows)]
    return generator.sample(chosen, num_rows)


def spoilt(rows: Sequence[Labelled], strange: Sequence[str], share: float, seed: int) -> list[Planted]:
    """The rows with a share of them spoilt. Law: as many rows as before; what is spoilt at a share is at larger ones.

    >>> [row.fault for row in spoilt([("a one", "x"), ("a two", "y")] * 3, ["Why?"], 0.5, 0)].count("sound")
    3
    """
    generator = random.Random(seed)
    order = generator.sample(range(len(rows)), len(rows))
    num_spoilt = round(share * len(rows))
    names = sorted({label for _, label in rows})
    questions = generator.sample(list(strange), min(len(strange), len(rows)))
    sources = generator.sample(order[num_spoilt:], len(order[num_spoilt:]))
    planted = [Planted(text, label) for text, label in rows]
    for number, place in enumerate(order[:num_spoilt]):
        (text, label), fault = rows[place], FAULTS[number % len(FAULTS)]
        if fault == WRONG_LABEL:
            planted[place] = Planted(text, generator.choice([name for name in names if name != label]), fault)
        elif fault == NEAR_DUPLICATE:
            source = sources[number // len(FAULTS)]
            planted[place] = Planted(edited(rows[source][0], generator), rows[source][1], fault, source)
        else:
            planted[place] = Planted(questions[number // len(FAULTS)], generator.choice(names), fault)
    return planted


def edited(text: str, generator: random.Random) -> str:
    """A text with one to three small edits: of case, of punctuation, and a slip of the keys.

    >>> edited("Where is my card?", random.Random(1)) != "Where is my card?"
    True
    """
    changed = text
    edits = generator.sample(("case", "signs", "slip"), generator.randint(1, 3))
    if "slip" in edits and len(text) > 3:
        at = generator.randrange(1, len(text) - 2)
        changed = changed[:at] + changed[at + 1] + changed[at] + changed[at + 2 :]
    if "signs" in edits or changed == text:
        changed = changed.rstrip("?.!") if changed[-1] in "?.!" else changed + "."
    return (
        changed.swapcase()
        if "case" in edits and generator.random() < 0.3
        else (changed.lower() if "case" in edits else changed)
    )


def removed(planted: Sequence[Planted], result: CleanResult) -> Figures:
    """What cleaning, or chance, took, by what was planted.

    A near duplicate is mended where it or the row that it repeats is gone; that row is no loss while its copy stays.
    """
    step_of = {change.line - 1: change.step for change in result.changes if change.action == "dropped"}
    copies = [(place, row.source) for place, row in enumerate(planted) if row.fault == NEAR_DUPLICATE]
    replaced = {source for place, source in copies if source in step_of and place not in step_of}
    by_step: dict[str, Counter[str]] = {}
    for place, step in step_of.items():
        by_step.setdefault(step, Counter())[planted[place].fault] += 1
    sound = [place for place, row in enumerate(planted) if row.fault == SOUND]
    return {
        "planted": dict(Counter(row.fault for row in planted)),
        "removed": {
            WRONG_LABEL: sum(planted[place].fault == WRONG_LABEL for place in step_of),
            NEAR_DUPLICATE: sum(place in step_of or source in step_of for place, source in copies),
            OFF_TOPIC: sum(planted[place].fault == OFF_TOPIC for place in step_of),
        },
        "sound_rows_lost": sum(place in step_of and place not in replaced for place in sound),
        "rows_dropped_by_step": {step: dict(counts) for step, counts in by_step.items()},
    }


def carried_out(trial: Trial, data: Path, trivia_folder: Path) -> Figures:
    """Make one run in a workspace of its own, and score it."""
    # Only the likeliest label counts here: what is already less likely than a whole label need not be followed.
    scoring.NEGLIGIBLE_NATS = 0.0
    before = _processor_seconds()
    test = stratified(labelled_rows(data / "test.csv"), NUM_TEST_ROWS, 0)
    rows = stratified(labelled_rows(data / "train.csv"), trial.num_rows, trial.seed)
    strange = [question for question, _ in trivia(trivia_folder.parent)]
    planted = spoilt(rows, strange, trial.share, trial.seed)
    figures: Figures = asdict(trial)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.jsonl"
        lines = [json.dumps({"text": row.text, "label": row.label}) + "\n" for row in planted]
        file.write_text("".join(lines), encoding="utf-8")
        workspace = open_workspace(Path(folder) / "home")
        imported = import_data(workspace, [file], "rows")
        if imported.rows_kept != len(planted):
            raise SystemExit(f"{len(planted)} rows were written, {imported.rows_kept} were kept")
        if trial.arm != AS_IT_IS:
            is_rehearsal = trial.arm == BY_CHANCE
            cleaned = clean_data(workspace, CleanRequest("rows", steps_of(CLEANING, None), is_rehearsal=is_rehearsal))
            if is_rehearsal:
                cleaned = clean_data(workspace, CleanRequest("rows", steps_of([f"sample={cleaned.num_after}"], None)))
            figures |= {"rows_left": cleaned.num_after, "cleaning": removed(planted, cleaned)}
        # Few rows are watched: the look at them decides nothing here, and every row that is watched is not learned.
        split_data(workspace, "rows", SplitSettings(Shares(0.99, 0.01, 0.0)))
        run = running.start_run(workspace, resolve_plan("classify", trial.settings()), "run")
        answers = using.load("run", workspace).predict([text for text, _ in test])
    hits = sum(answer.text == label for answer, (_, label) in zip(answers, test, strict=True))
    return figures | {
        "accuracy": hits / len(test),
        "training_wall_seconds": round(run.progress.seconds, 1),
        "processor_seconds": round(_processor_seconds() - before, 1),
    }


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def judged(runs: Sequence[Figures]) -> Figures:
    """Means and ranges by share, and whether the rule held: None where a share that is judged has no seed.

    Of a share those seeds count that were tuned with it in every way, and on sound rows as they are.

    >>> lost = {AS_IT_IS: 0.5, CLEANED: 0.25, BY_CHANCE: 0.5}
    >>> made = [{"seed": 0, "share": s, "arm": a, "accuracy": 0.8 - s * lost[a]} for s in SHARES for a in ARMS]
    >>> judged(made)["held"], judged(made)["shares"][2]["won_back"]
    (True, 0.5)
    >>> judged(made[:-1])["held"] is None
    True
    """
    scores = {(run["seed"], run["share"], run["arm"]): run["accuracy"] for run in runs}
    shares = [found for share in SHARES if (found := _of_share(share, scores))]
    won = [each["won_back"] for each in shares if each["share"] in JUDGED_SHARES]
    is_whole = len(won) == len(JUDGED_SHARES)
    held = all(share is not None and share >= LEAST_SHARE_WON_BACK for share in won) if is_whole else None
    return {"rule": RULE, "held": held, "shares": shares}


def _of_share(share: float, scores: dict[tuple[int, float, str], float]) -> Figures | None:
    """One row of the table. `won_back` is None where nothing was lost; Beyond chance is beyond cutting."""
    runs = ((0.0, AS_IT_IS), *((share, arm) for arm in ARMS))
    seeds = sorted({seed for seed, _, _ in scores if all((seed, *run) in scores for run in runs)})
    if not seeds:
        return None
    sound, dirty, clean, cut = ([scores[seed, *run] for seed in seeds] for run in runs)
    lost, won = (sum(sound) - sum(dirty)) / len(seeds), (sum(clean) - sum(dirty)) / len(seeds)
    of_arms = {
        arm: {"mean": round(sum(each) / len(seeds), 4), "range": [min(each), max(each)]}
        for arm, each in zip(ARMS, (dirty, clean, cut), strict=True)
    }
    return {
        "share": share,
        "seeds": seeds,
        **of_arms,
        "points_lost": round(100 * lost, 2),
        "points_from_cleaning": round(100 * won, 2),
        "points_beyond_chance": round(100 * (sum(clean) - sum(cut)) / len(seeds), 2),
        "won_back": round(won / lost, 3) if lost > 1e-9 else None,
    }


def _pinned(cores: Queue[int]) -> None:
    """Keep a worker on one core; fettle uses as many threads as it has cores."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores.get()})


def _all_figures(trials: Sequence[Trial], asked: argparse.Namespace) -> Iterator[Figures]:
    """The figures of each run as soon as it is done."""
    context = get_context("spawn")
    cores: Queue[int] = context.Queue()
    own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    for worker in range(asked.workers):
        cores.put(own[worker % len(own)])
    with ProcessPoolExecutor(asked.workers, context, _pinned, (cores,)) as pool:
        for done in as_completed([pool.submit(carried_out, trial, asked.data, asked.trivia) for trial in trials]):
            yield done.result()


def shown(verdict: Figures) -> str:
    """The table and the verdict as text."""
    lines = ["spoilt  as it is  cleaned  by chance  points lost  from cleaning  beyond chance  won back  seeds"]
    for each in verdict["shares"]:
        won = "-" if each["won_back"] is None else f"{each['won_back']:.0%}"
        means = f"{each[AS_IT_IS]['mean']:8.3f}  {each[CLEANED]['mean']:7.3f}  {each[BY_CHANCE]['mean']:9.3f}"
        points = (
            f"{each['points_lost']:11.1f}  {each['points_from_cleaning']:13.1f}  {each['points_beyond_chance']:13.1f}"
        )
        lines.append(f"{each['share']:6.0%}  {means}  {points}  {won:>8}  {', '.join(map(str, each['seeds']))}")
    word = {True: "held", False: "failed", None: "not known, runs are missing"}[verdict["held"]]
    return "\n".join([*lines, f"{word}: {verdict['rule']}"])


def main() -> None:
    """Make the runs that are missing, keep each, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True, help="the folder of banking77")
    parser.add_argument("--trivia", type=Path, help="the folder of opentriviaqa; by default beside banking77")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)))
    parser.add_argument("--workers", type=int, default=1, help="runs at a time, each on one core of its own")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    asked.trivia = asked.trivia or asked.data.parent / "opentriviaqa"
    trials = in_order(list(map(int, asked.seeds.split(","))), asked.rows, asked.steps)
    runs: list[Figures] = json.loads(asked.json.read_text())["runs"] if asked.json and asked.json.exists() else []
    have = [{name: run[name] for name in asdict(trials[0])} for run in runs]
    for figures in _all_figures([trial for trial in trials if asdict(trial) not in have], asked):
        print(json.dumps(figures), flush=True)
        runs.append(figures)
        if asked.json:
            machine = f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"
            versions = {name: version(name) for name in ("fettle-llm", "torch", "scikit-learn")}
            document: Figures = {"machine": machine, "versions": versions, "settings": trials[0].settings()}
            document |= {"cleaning": CLEANING, "verdict": judged(runs), "runs": runs}
            asked.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(shown(judged(runs)))


if __name__ == "__main__":
    main()
