"""The house: imports flow down the floors, without a circle, and every test stays on its own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "tierexp"
FLOORS = (
    ("errors",),
    ("config",),
    ("tiers",),
    ("imaging",),
    ("models",),
    ("data",),
    ("runtime",),
    ("results",),
    ("policies",),
    ("report",),
    ("evaluation",),
    ("training", "tier_design", "integrations"),
    ("api",),
    ("cli",),
)
"""From the ground up. A module imports from its own floor's folder and from those below."""
HEIGHT = {folder: height for height, floor in enumerate(FLOORS) for folder in floor}
MOST_ROOMS = 28
MOST_ARROWS = 103
"""Of the whole house: the package's folders, the scripts, and the folders of code beside them. An
arrow is a pair of rooms of which one imports the other, however often. Fewer is easier to read."""
MOST_LINES = 50
"""Of code in a function: neither its docstring, nor comments, nor blank lines."""


def modules() -> dict[str, ast.Module]:
    """Dotted name to parsed source, of everything in the package."""
    found = {}
    for file in sorted(SOURCE.rglob("*.py")):
        parts = file.relative_to(SOURCE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imports(name: str, tree: ast.Module) -> Iterator[str]:
    """The package's modules that a module imports, wherever in it, for type checkers too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            wanted = [path if path in MODULES else node.module for path in below]
        else:
            continue
        yield from (path for path in wanted if path in MODULES and path != name)


GRAPH = {name: sorted({*imports(name, tree)}) for name, tree in MODULES.items()}


def folder_of(name: str) -> str:
    """The room on its floor: the first part below the package."""
    return name.split(".")[1] if "." in name else ""


def test_every_folder_has_a_floor() -> None:
    assert {folder_of(name) for name in MODULES} - {""} == set(HEIGHT)


def test_imports_flow_down() -> None:
    for name, others in GRAPH.items():
        here = folder_of(name)
        for there, other in ((folder_of(other), other) for other in others if here):
            # The package's face holds no code that a floor could need; the version is its own.
            down = (
                there == here
                or (name, there) == ("tierexp.cli.commands", "")
                or (there != "" and HEIGHT[there] < HEIGHT[here])
            )
            assert down, f"{name} imports {other}"


def test_there_is_no_circle() -> None:
    left = {name: set(others) for name, others in GRAPH.items()}
    while free := [name for name, others in left.items() if not others & left.keys()]:
        for name in free:
            del left[name]
    assert not left, f"imports go in circles among {', '.join(sorted(left))}"


def test_the_house_has_few_rooms_and_few_arrows() -> None:
    rooms = {folder_of(name) for name in MODULES} - {""}
    arrows = {(folder_of(name), folder_of(other)) for name in MODULES for other in GRAPH[name]}
    for file in [*ROOT.glob("*.py"), *(ROOT / "benchmarks").glob("*.py")]:
        room = file.name if file.parent == ROOT else file.parent.name
        taken = imports("", ast.parse(file.read_text(encoding="utf-8")))
        rooms.add(room)
        arrows |= {(room, folder_of(other)) for other in taken}
    rooms |= {folder for folder in (".ci", "findings") if (ROOT / folder).is_dir()}
    arrows = {(here, there) for here, there in arrows if here != there and "" not in (here, there)}
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)
    assert len(arrows) <= MOST_ARROWS, sorted(arrows)


def test_the_package_s_face_only_hands_names_on() -> None:
    body = MODULES["tierexp"].body[1:]  # after the docstring
    assert all(isinstance(node, ast.Import | ast.ImportFrom | ast.If) for node in body)


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines that hold a statement or a part of one."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]  # the docstring
    lines = ast.unparse(ast.Module(body, [])).splitlines()  # no comments, no blank lines
    written = {
        line
        for statement in body
        for node in ast.walk(statement)
        if hasattr(node, "lineno")
        for line in (node.lineno, node.end_lineno)
    }
    return max(len(lines), len(written))


def test_functions_fit_on_a_screen() -> None:
    long = {
        f"{name}.{node.name}": code_lines(node)
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and code_lines(node) > MOST_LINES
    }
    assert not long


def test_no_test_module_imports_another() -> None:
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
                taken = (node.module or "").split(".")
                assert "support" in taken or taken == ["tests"], f"{file} imports {node.module}"
