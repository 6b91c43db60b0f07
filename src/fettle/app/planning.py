"""A recipe resolved: every setting with its origin. Light: no torch, no model is opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, NonNegativeFloat

from fettle.config.read import Tree, place, read_assignments, read_toml
from fettle.config.resolve import Explained, Layer, Resolved, explain, refuse_settings, resolve
from fettle.config.settings import Settings
from fettle.errors import Fault, RequestError, UnknownName, near_misses
from fettle.generation.config import DecodingSettings
from fettle.models.config import ALL, NEW_BASE, AdapterSettings, HeadSettings, ShapeSettings, VectorSettings
from fettle.tokens.config import MaskingSettings, PromptSettings, TagSettings
from fettle.training.config import EmbedSettings, ReplaySettings, TrainingSettings

RECIPES = Path(__file__).resolve().parent.parent / "recipes"


class GoalSettings(Settings):
    """What the tuned model is for, and when it would be good enough. Fixed before training, quoted after it."""

    words: str = ""
    """The aim in plain words."""

    metric: str = ""
    """The metric that decides. Empty: the task's main metric."""

    least_gain: NonNegativeFloat | None = None
    """The least gain over the base that would matter."""


class PlanSettings(Settings):
    """Everything that a run depends on."""

    task: str
    """Kind of work: chat, classify, tag, score, embed or text."""

    method: str = "auto"
    """How the model does it: candidates or head (classify), or another method of the task. auto: as base and rows
    allow."""

    data: str
    """Dataset to learn from: name, name@part or name#hash-prefix."""

    base: str = "bundled"
    """Base model: bundled, a folder, an earlier bundle, a hub id, or random: before any of them; new for one that is
    made from the rows: a vocabulary learned from them, and fresh weights in the shape of shape.*. A file of word
    vectors (word2vec, GloVe, fastText); or word2vec, skip-gram, glove for vectors that are learned from the rows."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Fixes the order of rows, fresh weights and noise."""

    goal: GoalSettings = GoalSettings()
    prompt: PromptSettings = PromptSettings()
    shape: ShapeSettings = ShapeSettings()
    adapter: AdapterSettings = AdapterSettings()
    head: HeadSettings = HeadSettings()
    masking: MaskingSettings = MaskingSettings()
    tag: TagSettings = TagSettings()
    training: TrainingSettings = TrainingSettings()
    replay: ReplaySettings = ReplaySettings()
    embed: EmbedSettings = EmbedSettings()
    decoding: DecodingSettings = DecodingSettings()
    vectors: VectorSettings = VectorSettings()


@dataclass(frozen=True)
class ResolvedPlan:
    """A recipe, resolved. `recipe` is what people called it."""

    recipe: str
    resolved: Resolved[PlanSettings]

    @property
    def settings(self) -> PlanSettings:
        """The settings themselves."""
        return self.resolved.settings

    def explained(self) -> list[Explained]:
        """Every setting with value, origin and meaning."""
        return explain(self.resolved)

    def as_json(self) -> dict[str, object]:
        """The settings and their origins as plain data."""
        return {
            "recipe": self.recipe,
            "settings": self.settings.model_dump(mode="json"),
            "origins": dict(self.resolved.origins),
        }


def recipe_names() -> list[str]:
    """The recipes that ship with fettle."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def resolve_plan(recipe: str, assignments: Sequence[str] | Mapping[str, object] = ()) -> ResolvedPlan:
    """Resolve a recipe, named or a file, with settings over it: default < recipe < file < `key=value`.

    A recipe file may name another as its `recipe`, which it then only differs from.
    """
    layers = _recipe_layers(recipe)
    given = dict(assignments) if isinstance(assignments, Mapping) else None
    over = _nested(given) if given is not None else read_assignments([str(word) for word in assignments])
    layers.append(Layer("given" if given is not None else "command line", over))
    resolved = resolve(PlanSettings, layers)
    refuse_settings(_faults(resolved.settings))
    return ResolvedPlan(recipe, resolved)


def plan_from_json(stored: Mapping[str, object]) -> ResolvedPlan:
    """A stored plan as it was: the same values with the same origins."""
    settings = PlanSettings.model_validate(stored["settings"])
    origins = stored["origins"]
    if not isinstance(origins, dict):
        raise RequestError("the stored plan has no origins")
    return ResolvedPlan(str(stored["recipe"]), Resolved(settings, origins))


def show_recipe(name: str) -> str:
    """The text of a recipe."""
    return _recipe_path(name).read_text(encoding="utf-8")


def _faults(settings: PlanSettings) -> list[Fault]:
    """What settings say together that cannot be."""
    faults = settings.adapter.faults()
    if settings.base == NEW_BASE:
        faults += _faults_of_new_base(settings)
    if settings.training.embedding_noise and settings.training.layout == "tree":
        problem = "the noise of a token goes by the length of its row, and tokens that rows share have many"
        faults.append(Fault("training.layout", 0, problem, "packed, padded or auto", "training.layout=auto"))
    return faults


def _faults_of_new_base(settings: PlanSettings) -> list[Fault]:
    faults = settings.shape.faults()
    if settings.adapter.kind != "full":
        problem = f"{settings.adapter.kind} adapters leave the base as it is, and a new base has learned nothing"
        faults.append(Fault("adapter.kind", 0, problem, "every weight to learn", "adapter.kind=full"))
    elif settings.adapter.learn != ALL:
        problem = "a new base has learned nothing that could stay as it is"
        faults.append(Fault("adapter.learn", 0, problem, ALL, f"adapter.learn={ALL}"))
    return faults


def _recipe_layers(recipe: str, above: tuple[str, ...] = ()) -> list[Layer]:
    path = _recipe_path(recipe)
    if recipe in above:
        raise RequestError(
            "a recipe differs from itself", where=" > ".join((*above, recipe)), expected="a recipe with a beginning"
        )
    tree = read_toml(path)
    parent = tree.pop("recipe", None)
    below = _recipe_layers(str(parent), (*above, recipe)) if parent is not None else []
    origin = f"recipe {recipe}" if path.parent == RECIPES else str(path)
    return [*below, Layer(origin, tree)]


def _recipe_path(recipe: str) -> Path:
    if recipe in recipe_names():
        return RECIPES / f"{recipe}.toml"
    path = Path(recipe)
    if path.suffix == ".toml":
        return path
    raise UnknownName(
        f"there is no recipe {recipe!r}",
        expected=f"one of: {near_misses(recipe, recipe_names())}, or a .toml file",
        attempt="fettle recipes list",
    )


def _nested(flat: Mapping[str, object]) -> Tree:
    tree: Tree = {}
    for key, value in flat.items():
        place(tree, key, value)
    return tree
