"""Imports run one way: every package looks down only, and no file is reached from what it imports."""

import ast
from pathlib import Path

import sfhub

ROOT = Path(sfhub.__file__).parent

FLOORS = (
    ("__main__",),
    ("cli",),
    ("space",),
    ("training",),
    ("convert", "metrics", "pipelines"),
    ("steps",),
    ("regions", "text"),
    ("editing", "portraits"),
    ("models",),
    ("images", "files"),
    ("limits",),
    ("__init__", "errors", "alignment"),
)
"""From the roof down. What stands on one floor does not import each other."""

TABS = ("mix_regions", "edit", "build_face", "label_regions")
LONGER_THAN_450 = {
    "convert/unpickler.py": "one machine: opcodes of pickle, each a few lines",
    "models/semantic_stylegan.py": "one network, read from latent to image beside its paper",
    "portraits/attributes.py": "mostly the table of attributes",
}


def name_of(path: Path) -> str:
    """`sfhub.models.fusion` for `models/fusion.py`."""
    parts = ["sfhub", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported(name: str, path: Path) -> set[str]:
    """The modules of the package that a file imports, also those inside functions; not what only annotations need."""
    found = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    waiting = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(filter(None, [above, node.module]))
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        waiting += ast.iter_child_nodes(node)
    # Of a package's name and those of its modules, whichever are files.
    known = {module for module in found if module in FILES and module not in ("sfhub", name)}
    return {module for module in known if not any(other.startswith(f"{module}.") for other in known)}


GRAPH = {name: imported(name, path) for name, path in FILES.items()}


def floor_of(name: str) -> int:
    """Number of a module's floor, 0 for the roof."""
    package = [*name.split("."), "__init__"][1]
    floors = [number for number, floor in enumerate(FLOORS) if package in floor]
    assert floors, f"sfhub.{package} has no floor yet; give it one in FLOORS"
    return floors[0]


def test_no_package_imports_from_its_own_floor_or_above():
    up = sorted(
        (name, other)
        for name, others in GRAPH.items()
        for other in others
        if name.split(".")[1:2] != other.split(".")[1:2] and floor_of(name) >= floor_of(other)
    )
    assert up == []


def test_callers_know_no_single_architecture_of_generators_and_parsers():
    networks = {"sfhub.models.stylegan2", "sfhub.regions.hub_parser"}
    trainings = tuple(f"sfhub.training.{name}" for name in ("stylegan2", "guided", "surgery"))
    may = ("sfhub.models.", "sfhub.convert", *trainings, "sfhub.pipelines.components")
    named = {name: others & networks for name, others in GRAPH.items() if not name.startswith(may)}
    assert {name: sorted(others) for name, others in named.items() if others} == {}


def test_no_file_is_reached_from_what_it_imports():
    done: set[str] = set()

    def circle(name: str, path: tuple[str, ...]) -> tuple[str, ...] | None:
        if name in path:
            return (*path[path.index(name) :], name)
        if name in done:
            return None
        found = next(filter(None, (circle(other, (*path, name)) for other in sorted(GRAPH[name]))), None)
        done.add(name)
        return found

    assert [found for name in GRAPH if (found := circle(name, ()))] == []


def test_the_graph_is_seen():
    assert "sfhub.models.fusion" in GRAPH["sfhub.editing.fusion"]
    assert "sfhub.pipelines.families" in GRAPH["sfhub.cli"]
    assert "sfhub.convert.files" in GRAPH["sfhub.convert.stylefusion"]


def test_no_tab_of_the_page_imports_another():
    tabs = {tab: [name for name in FILES if name.startswith(f"sfhub.space.{tab}.")] for tab in TABS}
    for tab, names in tabs.items():
        assert {name.rpartition(".")[2] for name in names} == {"layout", "state", "view", "work"}
        others = tuple(f"sfhub.space.{other}" for other in TABS if other != tab)
        assert not [(name, each) for name in names for each in GRAPH[name] if each.startswith(others)]
    of_tabs = tuple(f"sfhub.space.{tab}" for tab in TABS)
    shared = [name for name in FILES if name.startswith("sfhub.space.common")]
    assert not [(name, each) for name in shared for each in GRAPH[name] if each.startswith(of_tabs)]


def test_files_can_be_read_in_one_sitting():
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES.values()}
    assert {name for name, count in lines.items() if count > 250 and name.startswith("space/")} == set()
    assert {name for name, count in lines.items() if count > 450} <= set(LONGER_THAN_450)
