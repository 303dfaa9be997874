"""The tree of regions that a fusion hierarchy follows, and what a code at a node means.

*StyleFusion* (Kafri et al., ACM TOG 2022), sections 4.2 and 4.4: every inner node splits its region into two. A leaf
takes the style code that its region shall look like; an inner node takes a *layout* code, whose image says where its
two regions lie (the paper's s_align). The trees of the official repository for faces, cars and churches ship as JSON
files in `trees/`; any other tree is the same kind of mapping:

    RegionTree({"all": ["person", "background"], "person": ["face", "hair"]})

This module only moves codes about; `sfhub.models.fusion` computes with them.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sfhub.errors import InputError, clipped, short
from sfhub.limits import check_file, limits

__all__ = ["SHIPPED", "RegionTree"]

T = TypeVar("T")

FOLDER = Path(__file__).parent / "trees"
SHIPPED = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
"""Names that `RegionTree.load` knows."""

# Names become parts of the names of weights, so no dots.
NAME = re.compile(r"[A-Za-z0-9][\w-]{0,63}", re.ASCII)


class RegionTree:
    """A binary tree of named regions; never changes after it was made.

    Args:
        children: for every inner node its two children; the order is that in which its network takes them.
        controls: for every shortcut of `swap` the nodes that it sets, in the order in which they are applied.
        regions: the regions of a catalog that a leaf stands for, where they are not just the one of its own name.

    Attributes:
        root: the node that is nobody's child, the whole image.
        nodes: all nodes, each before its children and the first child's subtree before the second's.
        inner, leaves: those with and without children, in the same order.

    Raises:
        InputError: if this is no binary tree: a node that occurs twice, none or several roots, nodes out of reach,
            other than two children, controls of unknown nodes, regions of what is no leaf, or
            more nodes than `Limits.tree_nodes`.
    """

    def __init__(
        self,
        children: Mapping[str, Sequence[str]],
        controls: Mapping[str, Sequence[str]] | None = None,
        regions: Mapping[str, Sequence[str]] | None = None,
    ):
        most = limits().tree_nodes
        children = _mapping(children, "tree")
        if 2 * len(children) >= most:
            raise InputError(
                f"The tree has {2 * len(children) + 1:,} nodes, more than the {most:,} allowed; join some."
            )
        self.children = {node: _pair(node, pair) for node, pair in children.items()}
        self.root = _root(self.children)
        self.nodes = tuple(self.subtree(self.root))
        lost = list(self.children.keys() - set(self.nodes))
        if lost:
            raise InputError(f"The tree's node {min(lost)!r} is not below its root {self.root!r}; attach it.")
        self.inner = tuple(node for node in self.nodes if node in self.children)
        self.leaves = tuple(node for node in self.nodes if node not in self.children)
        self.controls = {name: tuple(nodes) for name, nodes in _mapping(controls or {}, "tree's controls").items()}
        for name, nodes in self.controls.items():
            self.check(nodes, f"control {short(name)}")
        self.regions = {leaf: tuple(names) for leaf, names in _mapping(regions or {}, "tree's regions").items()}
        inner = next((node for node in self.regions if node not in self.leaves), None)
        if inner is not None:
            raise InputError(
                f"The tree gives node {short(inner)} regions of its own, which only leaves have; choose among "
                f"{', '.join(self.leaves)}."
            )

    @classmethod
    def load(cls, name: str | Path) -> "RegionTree":
        """A shipped tree by name (`ffhq`, `car`, `church`, `portraits`), or one from a JSON file.

        Raises:
            InputError: if there is no such file, or it holds no tree or the same node twice.
        """
        path = FOLDER / f"{name}.json" if str(name) in SHIPPED else Path(name)
        try:
            check_file(path, limits().config_bytes)
            config = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_doubles)
        except InputError as error:
            raise InputError(f"{path.name}: {error}") from None
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"The tree {short(str(name))} cannot be read ({type(error).__name__}); give a JSON file or one of "
                f"{', '.join(SHIPPED)}."
            ) from error
        return cls.from_config(config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "RegionTree":
        """The inverse of `to_config`."""
        config = _mapping(config, "tree's configuration")
        if not {"children"} <= config.keys() <= {"children", "controls", "regions"}:
            raise InputError(
                f"A tree's configuration has the entries children, controls and regions but this one has "
                f"{clipped(', '.join(map(str, config))) or 'none'}; correct it."
            )
        return cls(config["children"], config.get("controls"), config.get("regions"))

    def to_config(self) -> dict[str, dict[str, list[str]]]:
        """Plain data for JSON: `{"children": {node: [child, child]}, "controls": {name: [node, ...]}}`.

        With `"regions": {leaf: [region, ...]}` where leaves stand for others than the region of their own name.
        """
        config = {
            "children": {node: list(self.children[node]) for node in self.inner},
            "controls": {name: list(nodes) for name, nodes in self.controls.items()},
        }
        if self.regions:
            config["regions"] = {leaf: list(names) for leaf, names in self.regions.items()}
        return config

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RegionTree) and self.to_config() == other.to_config()

    __hash__ = None

    def __repr__(self) -> str:
        return f"RegionTree({self.to_config()['children']})"

    def subtree(self, node: str) -> list[str]:
        """`node` and everything below it, in the order of `nodes`."""
        found, open_ends = [], [node]
        while open_ends:
            found.append(open_ends.pop())
            open_ends.extend(reversed(self.children.get(found[-1], ())))
        return found

    def regions_of(self, node: str) -> tuple[str, ...]:
        """Names of the catalog's regions that `node` covers: those of the leaves below it."""
        leaves = [name for name in self.subtree(node) if name not in self.children]
        return tuple(region for leaf in leaves for region in self.regions.get(leaf, (leaf,)))

    def levels(self) -> list[tuple[str, ...]]:
        """The inner nodes by their distance from the root, which comes first."""
        levels, level = [], (self.root,)
        while level:
            levels.append(level)
            below = [child for node in level for child in self.children[node]]
            level = tuple(child for child in below if child in self.children)
        return levels

    def check(self, names: Iterable[str], where: str = "code") -> None:
        """Raise an InputError unless all `names` are nodes; `where` says what named them."""
        for name in names:
            if name not in self.nodes:
                raise InputError(
                    f"The {where} is for node {short(name)}, which this tree does not have; its nodes are "
                    f"{', '.join(self.nodes)}."
                )

    def spread(self, codes: Mapping[str, T], layouts: Mapping[str, T] | None = None) -> dict[str, T]:
        """Give every node a code: what a node has covers its subtree until something below has its own.

        How fine the control is can so be chosen at any time: a code for "face" is one for eyes, mouth and skin too.

        Args:
            codes: at least that of the root; at an inner node it is the look and the layout of all below.
            layouts: layout codes of inner nodes, which cover the inner nodes below them likewise and leave the look
                of every leaf alone. One at the root sets all layouts, whatever `codes` has further down.

        Returns:
            One entry per node, in the order of `nodes`; the very objects that came in.

        Raises:
            InputError: if the root has no code, a name is no node, or a layout is given to a leaf.
        """
        layouts = layouts or {}
        self.check(codes)
        self.check(layouts, "layout")
        if self.root not in codes:
            raise InputError(f"The root {self.root!r} has no code to fall back on; give it the base's.")
        leaf = next((node for node in layouts if node not in self.children), None)
        if leaf is not None:
            raise InputError(
                f"Node {short(leaf)} was given a layout, which only inner nodes have; choose among "
                f"{', '.join(self.inner)}."
            )
        look = self._cover(codes)
        return look | {node: code for node, code in self._cover(layouts).items() if node in self.children}

    def _cover(self, given: Mapping[str, T]) -> dict[str, T]:
        """`given` and, for each node without its own entry, that of its nearest ancestor that has one."""
        found: dict[str, T] = {}
        for node in self.nodes:  # parents come first
            if node in given:
                found[node] = given[node]
            for child in self.children.get(node, ()) if node in found else ():
                found[child] = found[node]
        return {node: found[node] for node in self.nodes if node in found}

    def swap(self, base: T, sources: Mapping[str, T]) -> dict[str, T]:
        """The shortcuts of the official script (`generate_img` of `style_fusion_simple.py`).

        Every node starts with the base; then the controls are applied in the order of `controls`, whatever the order
        of `sources`, so that later ones win. They are not regions: "hair" takes the layout of its parent along, "mouth"
        of the faces sets layouts only.

        Args:
            base: code of everything that no control sets.
            sources: code by name of the control.

        Returns:
            One entry per node.

        Raises:
            InputError: for a control that this tree does not have.
        """
        unknown = next((name for name in sources if name not in self.controls), None)
        if unknown is not None:
            raise InputError(
                f"There is no control {short(unknown)}; this tree has {', '.join(self.controls) or 'none'}."
            )
        codes = dict.fromkeys(self.nodes, base)
        for name, nodes in self.controls.items():
            if name in sources:
                codes |= dict.fromkeys(nodes, sources[name])
        return codes


def _mapping(value: object, what: str) -> Mapping:
    if not isinstance(value, Mapping):
        raise InputError(f"The {what} is a {type(value).__name__} where a mapping by name is expected; correct it.")
    return value


def _pair(node: object, children: object) -> tuple[str, str]:
    if isinstance(children, str) or not isinstance(children, Sequence) or len(children) != 2:
        raise InputError(
            f"The tree gives node {short(node)} the children {short(children)}; an inner node has two, a leaf none."
        )
    for name in (node, *children):
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(f"The tree has a node named {short(name)}; use up to 64 letters, digits, '_' and '-'.")
    return tuple(children)


def _root(children: Mapping[str, tuple[str, str]]) -> str:
    """The node that is no child.

    Raises:
        InputError: unless there is exactly one, and no node is a child twice.
    """
    below = Counter(child for pair in children.values() for child in pair)
    doubled = next((child for child, count in below.items() if count > 1), None)
    if doubled is not None:
        raise InputError(f"The tree has node {short(doubled)} twice; every region has one place.")
    roots = [node for node in children if node not in below]
    if not roots:
        raise InputError("The tree has no root, for it is empty or a circle; start it with the whole image.")
    if len(roots) > 1:
        raise InputError(
            f"The tree has the roots {clipped(', '.join(roots))} where one is needed; join them at a node."
        )
    return roots[0]


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, which by itself would silently keep the last of two equal keys."""
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise InputError(f"The tree has node {short(key)} twice; every region has one place.")
        result[key] = value
    return result
