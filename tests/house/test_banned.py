"""What never stands in the source: code that runs what a file says, silenced security, plans in comments."""

import ast
import io
import tokenize

import pytest
from source_tree import dotted, sources

BANNED_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
BANNED_NAMES = {"torch.load", "yaml.load", "jinja2.Environment", "numpy.load", "os.system", "os.popen"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__"}
BANNED_KEYWORDS = {
    "shell": True,
    "trust_remote_code": True,
    "verify": False,
    "weights_only": False,
    "allow_pickle": True,
}


def finds(tree: ast.Module, imports: list[tuple[int, str]]) -> list[str]:
    """Every banned thing of one file, with its line."""
    found = [
        f"{line}: {name}" for line, name in imports if name.partition(".")[0] in BANNED_MODULES or name in BANNED_NAMES
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and dotted(node) in BANNED_NAMES:
            found.append(f"{node.lineno}: {dotted(node)}")
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id in BANNED_CALLS:
                found.append(f"{node.lineno}: {node.func.id}()")
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if keyword.arg in BANNED_KEYWORDS and value is BANNED_KEYWORDS[keyword.arg]:
                    found.append(f"{node.lineno}: {keyword.arg}={value}")
    return found


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.name)
def test_no_file_uses_what_is_banned(source):
    assert not finds(source.tree, list(source.imports()))


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load(path)",
        "subprocess.run(words, shell=True)",
        "yaml.load(text)",
        "eval(text)",
        "exec(text)",
        "jinja2.Environment()",
        "from jinja2 import Environment",
        "open_model(folder, trust_remote_code=True)",
        "httpx.get(address, verify=False)",
    ],
)
def test_the_guard_sees(line):
    tree = ast.parse(line)
    first = tree.body[0]
    imports = []
    if isinstance(first, ast.Import):
        imports = [(1, first.names[0].name)]
    elif isinstance(first, ast.ImportFrom):
        imports = [(1, f"{first.module}.{first.names[0].name}")]
    assert finds(tree, imports)


def test_the_guard_lets_the_honest_pass():
    assert not finds(ast.parse("network.eval()\nopen_model(folder, trust_remote_code=False)"), [])


def test_no_comment_is_a_plan():
    marks = ("TODO", "FIXME", "XXX", "HACK")
    found = [
        f"{source.name}:{token.start[0]}"
        for source in sources()
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline)
        if token.type == tokenize.COMMENT and any(mark in token.string for mark in marks)
    ]
    assert not found, "no TODO on main: open an issue"
