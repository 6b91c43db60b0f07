"""The model card of a bundle, written from its manifest and its latest report. Plain data in, Markdown out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Table = Mapping[str, Any]


def model_card(manifest: Table, identity: str, report: Table | None) -> str:
    """What the bundle is, from what and how it was made, how good it is, and what nobody measured."""
    plan, data, base, training = (manifest[name] for name in ("plan", "data", "base", "training"))
    settings = plan["settings"]
    sections = [
        _head(manifest, base, data),
        _section("Goal", _goal(settings["goal"])),
        _section("Scores", _scores(report)),
        _section("How it was made", [*_making(manifest, settings, training), *_temperature(manifest)]),
        _section("Data", _data(data, manifest.get("labels", []), settings)),
        _section("Identity", _identity(manifest, identity, base)),
        _section(
            "Limits",
            [
                "Scores hold for rows like the held-out ones and say nothing of other inputs.",
                "What the base could do before and can no longer do was not measured.",
            ],
        ),
    ]
    return "\n".join(sections)


def _head(manifest: Table, base: Table, data: Table) -> str:
    is_new = base["kind"] == "new"
    base_line = "" if is_new else f"base_model: {base['name']}\n"
    front = f"---\nlibrary_name: fettle\n{base_line}tags: [{manifest['task']}]\n---\n"
    kind = "an adapter for" if manifest["kind"] == "adapter" else "all weights, tuned from"
    made_from = "trained from scratch" if is_new else f"{kind} `{base['name']}`"
    made_from += f", with `{data['version']}`"
    return f"{front}\n# {manifest['name']}\n\nA model for `{manifest['task']}`: {made_from}.\n"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"## {title}", "", *(f"- {line}" if not line.startswith("|") else line for line in lines), ""])


def _goal(goal: Table) -> list[str]:
    if not (goal["words"] or goal["metric"]):
        return ["None was stated before training."]
    lines = [goal["words"]] if goal["words"] else []
    if goal["metric"]:
        least = f", by at least {goal['least_gain']}" if goal["least_gain"] is not None else ""
        lines.append(f"Judged by {goal['metric']}{least}; fixed before training.")
    return lines


def _scores(report: Table | None) -> list[str]:
    if report is None:
        return ["Not measured yet: `fettle evaluate` on held-out rows."]
    systems = list(report["systems"])
    lines = [f"| {report['n']} rows of `{report['data']}` | " + " | ".join(systems) + " |"]
    lines.append("|---" * (len(systems) + 1) + "|")
    for metric in report["systems"][systems[0]]:
        cells = []
        for system in systems:
            estimate = report["systems"][system][metric]
            low, high = estimate["interval"]
            cells.append(f"{estimate['value']:.3f} ({low:.3f} to {high:.3f})")
        lines.append(f"| {metric} | " + " | ".join(cells) + " |")
    lines += [""] + [f"Note: {note}" for note in report["notes"]]
    return [line for line in lines if line]


def _making(manifest: Table, settings: Table, training: Table) -> list[str]:
    machine = manifest["plan"]["machine"]
    num_tokens = settings["training"].get("tokens_per_step")
    size = f"about {num_tokens} tokens" if num_tokens else f"{settings['training']['rows_per_step']} rows"
    lines = [
        f"{training['steps']} optimizer steps, {training['learned_tokens']} learned tokens, "
        f"{training['seconds']:.0f} s, at most {training['peak_memory_bytes'] / 2**30:.1f} GiB.",
        f"Learning rate {settings['training']['learning_rate']}, {size} a step, "
        f"seed {settings['seed']}; weights of step {training['kept_step']}.",
        f"Layout {machine['layout']}, {machine['dtype']}, {machine['threads']} threads, {machine['device']}.",
        "Every setting with its origin stands under `plan` in bundle.json.",
    ]
    if manifest.get("has_fresh_word_head"):
        lines.append("The layers that say words began at random: the base has none, and its own scores are guesses.")
    return lines


def _temperature(manifest: Table) -> list[str]:
    temperature = manifest.get("temperature", 1.0)
    if temperature == 1:
        return []
    surer = "less" if temperature > 1 else "more"
    return [
        f"Scores of labels are divided by {temperature:.3f} before they become probabilities, which are so {surer} "
        "sure: the rows for watching fit best that way. No answer changes by it."
    ]


def _data(data: Table, labels: Sequence[str], settings: Table) -> list[str]:
    lines = [
        f"`{data['version']}`, SHA-256 {data['content_hash']}.",
        f"{data['rows_learned']} rows learned, {data['rows_validation']} for watching, "
        f"{data['rows_test']} kept for the test.",
        f"{data['rows_lost']} rows lost, {data['rows_cut']} cut.",
    ]
    if data.get("replayed"):
        lines.append(f"Beside them `{data['replayed']}`: {settings['replay']['share']:g} of the rows of each step.")
    if labels:
        lines.append(f"{len(labels)} labels: {', '.join(labels[:40])}{' …' if len(labels) > 40 else ''}.")
    return lines


def _identity(manifest: Table, identity: str, base: Table) -> list[str]:
    seed = base["random_seed"]
    lines = [
        f"Bundle {identity}.",
        f"Base weights {base['fingerprint']['weights']}." if seed is None else f"Base weights drawn with seed {seed}.",
        f"Chat template {manifest['template_sha256']}.",
    ]
    if base["lineage"]:
        lines.append(f"Tuned before as: {', '.join(base['lineage'])}.")
    return lines
