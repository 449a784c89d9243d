"""The house: imports run one way and in no circle, and the paper needs NumPy alone."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "cam_numpy"
OPEN = {"errors", "input", "names", "output", "parallel"}  # to all but the paper
# what each room may import of the others
MAY_IMPORT = {
    "paper": set(),
    "image": {"paper"},
    "network": {"paper", "image"},
    "show": {"paper", "image"},
    "explanation": {"paper", "image", "network", "show"},
    # like explanation, it joins what a network computes and the figure of it
    "layers": {"paper", "image", "network", "show"},
    "units": {"paper", "image", "network", "show"},
    "learning": {"paper", "image", "network"},
    "evaluation": {"paper", "image", "network", "show", "explanation"},
    "commands": {"paper", "image", "network", "show", "explanation", "layers", "units", "learning",
                 "evaluation"},
}


def imports(path):
    """(the package imported, the room of cam_numpy) of each import in a file, one of them None."""
    depth = len(path.relative_to(ROOT).parts)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0], None
        elif isinstance(node, ast.ImportFrom) and node.level == depth:
            yield from ((None, name.split(".")[0]) for name in ([node.module] if node.module else
                                                                [alias.name for alias in node.names]))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_one_way(room):
    for path in [*(ROOT / room).rglob("*.py"), *ROOT.glob(f"{room}.py")]:
        rooms = {found for _, found in imports(path) if found}
        allowed = MAY_IMPORT[room] | (OPEN if room != "paper" else set())
        assert rooms <= allowed, f"{path.relative_to(ROOT)} imports {sorted(rooms - allowed)}"


def test_no_module_imports_itself_through_others():
    """Imports on first use count; the package's own `__init__`, which loads all that way, is left out."""
    needs = {path: {found for name in modules(path) if (found := file_of(name))}
             for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py"}
    while free := [path for path, others in needs.items() if not others & set(needs)]:
        for path in free:
            del needs[path]
    assert not needs, sorted(str(path.relative_to(ROOT)) for path in needs)


def modules(path):
    """The modules of cam_numpy that a file imports, at the top or on first use, as tuples of names."""
    folder = path.relative_to(ROOT).parts[:-1]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unread = {inner for node in ast.walk(tree) if isinstance(node, ast.If)
              and getattr(node.test, "id", "") == "TYPE_CHECKING" for inner in ast.walk(node)}
    for node in set(ast.walk(tree)) - unread:
        if isinstance(node, ast.ImportFrom) and node.level:
            start = (*folder[: len(folder) - node.level + 1], *(node.module or "").split("."))
            yield from ((*filter(None, start), *more) for more in [(), *((a.name,) for a in node.names)])


def file_of(name):
    """The file of a module, or None where the name is no module's."""
    path = ROOT.joinpath(*name)
    return path.with_suffix(".py") if name and path.with_suffix(".py").is_file() else None


def test_the_paper_needs_numpy_alone_and_one_folder_knows_onnxruntime():
    for path in ROOT.rglob("*.py"):
        packages = {found for found, _ in imports(path) if found} - set(sys.stdlib_module_names)
        if path.parent.name == "paper":
            assert packages <= {"numpy"}, path.name
        assert packages <= {"numpy", "PIL", "matplotlib", "onnxruntime"}, path.name
        assert "onnxruntime" not in packages or path.parent.name == "network", path.name
