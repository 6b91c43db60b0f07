"""How large a file, a function and a room may be. The lists of exceptions may shrink and never grow."""

from collections import Counter

from source_tree import PACKAGE, parameters, sources

MOST_LINES_OF_A_FILE = 500
MOST_LINES_OF_A_FUNCTION = 80
MOST_PARAMETERS = 5
FEWEST_FILES, MOST_FILES = 3, 10

# Rooms of fewer than three files, and why they stand alone all the same.
SMALL_ROOMS = {
    "artifacts": "the bundle, and its way out; checkpoints are private to training",
    "jobs": "a run's folder and its signals; the worker that runs apart comes here",
    "storage/migrations": "laid out as Alembic wants it",
    "storage/migrations/versions": "laid out as Alembic wants it",
    "tasks/chat": "one task",
    "tasks/score": "one task",
}
# Rooms that want a second room, with the number of their files.
LARGE_ROOMS: dict[str, int] = {}
# Functions with more parameters than five, and how many they have.
WIDE_FUNCTIONS = {
    "app/demo.py:_train": 6,
    "app/running.py:_bundle": 7,
    "app/running.py:_carry_out": 7,
    "app/running.py:_job": 7,
    "app/using.py:predict_file": 6,
    "errors.py:_rebuild": 6,
    "generation/decoding.py:_write": 6,
    "generation/decoding.py:complete": 6,
    "models/attention.py:path_attention": 10,
    "training/loop.py:_take_step": 6,
}
NAMES_THAT_SAY_NOTHING = ("utils", "util", "misc", "common", "helpers", "helper", "manager")


def test_files_are_under_the_wall():
    sizes = {source.name: len(source.text.splitlines()) for source in sources()}
    assert not {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FILE}


def test_functions_are_under_the_wall():
    sizes = {
        f"{source.name}:{function.name}": function.end_lineno - function.lineno + 1
        for source in sources()
        for function in source.functions()
    }
    assert not {name: size for name, size in sizes.items() if size > MOST_LINES_OF_A_FUNCTION}


def is_command(source, function):
    """Whether a function is a command of the terminal: its parameters are options, which have a wall of their own."""
    return source.name.startswith("cli/") and function.name.endswith("_command")


def test_functions_take_five_things_or_a_settings_object():
    wide = {
        f"{source.name}:{function.name}": len(parameters(function))
        for source in sources()
        for function in source.functions()
        if len(parameters(function)) > MOST_PARAMETERS and not is_command(source, function)
    }
    grown = {name: count for name, count in wide.items() if count > WIDE_FUNCTIONS.get(name, 0)}
    assert not grown, "more than five parameters: make a settings object, or two functions"
    mended = {name: count for name, count in WIDE_FUNCTIONS.items() if wide.get(name, 0) < count}
    assert not mended, "the list of exceptions only shrinks: take these out of WIDE_FUNCTIONS"


def test_a_room_holds_three_to_ten_files():
    rooms = Counter(
        source.path.parent.relative_to(PACKAGE).as_posix()
        for source in sources()
        if source.path.name != "__init__.py" and source.path.parent != PACKAGE
    )
    too_large = {room: count for room, count in rooms.items() if count > max(MOST_FILES, LARGE_ROOMS.get(room, 0))}
    assert not too_large, "a room that wants more than ten files wants a second room"
    mended = {room for room, count in LARGE_ROOMS.items() if rooms[room] < count}
    assert not mended, "the list of exceptions only shrinks: change LARGE_ROOMS"
    too_small = {room for room, count in rooms.items() if count < FEWEST_FILES}
    assert too_small == set(SMALL_ROOMS), (
        "a room of one or two files needs its reason in SMALL_ROOMS, and no other does"
    )


def test_every_folder_with_python_is_a_room():
    folders = {source.path.parent for source in sources()} - {PACKAGE}
    without_face = {
        folder.relative_to(PACKAGE).as_posix() for folder in folders if not (folder / "__init__.py").exists()
    }
    assert without_face <= {"storage/migrations", "storage/migrations/versions"}


def test_no_file_has_a_name_that_says_nothing():
    assert not [source.name for source in sources() if source.path.stem in NAMES_THAT_SAY_NOTHING]
    assert not [source.name for source in sources() if source.path.parent.name in NAMES_THAT_SAY_NOTHING]
