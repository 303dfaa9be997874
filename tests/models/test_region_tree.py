"""What a tree of regions may look like, and which code every node gets."""

import json

import pytest

from sfhub.errors import InputError
from sfhub.models.region_tree import SHIPPED, RegionTree
from sfhub.regions.naming import PORTRAIT_REGIONS


@pytest.fixture
def faces():
    return RegionTree.load("ffhq")


def test_the_trees_of_faces_cars_and_churches_ship():
    assert set(SHIPPED) == {"ffhq", "car", "church", "portraits"}
    assert {name: RegionTree.load(name).leaves for name in SHIPPED} == {
        "ffhq": ("mouth", "skin", "eyes", "clothes", "bg", "hair"),
        "car": ("car_body", "wheels", "background_top", "background_bottom"),
        "church": ("church", "background"),
        "portraits": ("mouth", "skin", "eyes", "glasses", "clothes", "background", "hair", "hat"),
    }


def test_leaves_stand_for_regions_of_their_own_name_unless_the_tree_says_otherwise():
    tree = RegionTree.load("portraits")
    assert tree.regions_of("skin_mouth") == ("mouth", "face")
    assert set(tree.regions_of("all")) == set(PORTRAIT_REGIONS)
    with pytest.raises(InputError, match="gives node 'all' regions of its own"):
        RegionTree(tree.children, regions={"all": ["face"]})


def test_levels_go_from_the_root_down(faces):
    assert faces.levels() == [("all",), ("face", "bg_hair_clothes"), ("skin_mouth", "bg_clothes")]


def test_a_tree_comes_back_from_its_configuration_and_from_a_file(faces, tmp_path):
    (tmp_path / "tree.json").write_text(json.dumps(faces.to_config()))
    assert RegionTree.load(tmp_path / "tree.json") == faces == RegionTree.from_config(faces.to_config())
    assert RegionTree.load("car") != faces
    portraits = RegionTree.load("portraits")
    assert RegionTree.from_config(portraits.to_config()) == portraits


@pytest.mark.parametrize(
    ("children", "message"),
    [
        ({}, "no root"),
        ({"a": ["b", "c"], "b": ["a", "d"]}, "no root, for it is empty or a circle"),
        ({"a": ["b", "b"]}, "'b' twice"),
        ({"a": ["b", "c"], "b": ["c", "d"]}, "'c' twice"),
        ({"a": ["b", "c"], "d": ["e", "f"]}, "the roots a, d"),
        ({"a": ["b", "c"], "d": ["e", "f"], "e": ["d", "g"]}, "'d' is not below its root 'a'"),
        ({"a": ["b"]}, r"'a' the children \['b'\]"),
        ({"a": "bc"}, "'a' the children 'bc'"),
        ({"a": ["b.c", "d"]}, "named 'b.c'"),
        ({"a": [1, "d"]}, "named 1"),
        (["a", "b"], "is a list where a mapping"),
    ],
)
def test_what_is_no_binary_tree_is_refused(children, message):
    with pytest.raises(InputError, match=message):
        RegionTree(children)


def test_a_control_of_an_unknown_node_is_refused():
    with pytest.raises(InputError, match="control 'face' is for node 'nose', which this tree does not have"):
        RegionTree({"all": ["face", "hair"]}, {"face": ["face", "nose"]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"children": {"a": ["b", "c"], "a": ["d", "e"]}}', r"tree\.json: The tree has node 'a' twice"),
        ('{"children": {"a": ["b",', "cannot be read"),
        ('{"a": ["b", "c"]}', "has the entries children, controls and regions but this one has a"),
        ("[]", "is a list"),
    ],
)
def test_a_file_that_holds_no_tree_is_refused(text, message, tmp_path):
    (tmp_path / "tree.json").write_text(text)
    with pytest.raises(InputError, match=message):
        RegionTree.load(tmp_path / "tree.json")


def test_a_tree_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(InputError, match=r"'horse' cannot be read.*car, church, ffhq"):
        RegionTree.load("horse")


def test_a_code_covers_its_subtree_until_something_below_has_its_own(faces):
    codes = faces.spread({"all": "base", "face": "f", "mouth": "m"})
    assert tuple(codes) == faces.nodes
    assert {node for node, code in codes.items() if code == "f"} == {"face", "skin_mouth", "skin", "eyes"}
    assert {node for node, code in codes.items() if code == "m"} == {"mouth"}
    assert codes["all"] == codes["hair"] == codes["bg_hair_clothes"] == codes["bg"] == "base"


def test_a_layout_covers_inner_nodes_only_and_wins_over_the_codes_there(faces):
    codes = faces.spread({"all": "base", "face": "f"}, {"all": "pose", "bg_clothes": "outline"})
    assert {node: codes[node] for node in faces.inner} == {
        "all": "pose",
        "face": "pose",
        "skin_mouth": "pose",
        "bg_hair_clothes": "pose",
        "bg_clothes": "outline",
    }
    assert {codes[node] for node in ("mouth", "skin", "eyes")} == {"f"}
    assert {codes[node] for node in ("clothes", "bg", "hair")} == {"base"}


@pytest.mark.parametrize(
    ("codes", "layouts", "message"),
    [
        ({"face": 1}, {}, "root 'all' has no code"),
        ({"all": 1, "nose": 2}, {}, "code is for node 'nose'"),
        ({"all": 1}, {"nose": 2}, "layout is for node 'nose'"),
        ({"all": 1}, {"hair": 2}, "'hair' was given a layout, which only inner nodes have"),
    ],
)
def test_codes_that_do_not_fit_the_tree_are_refused(codes, layouts, message, faces):
    with pytest.raises(InputError, match=message):
        faces.spread(codes, layouts)


def test_controls_set_what_the_official_script_sets(faces):
    base = dict.fromkeys(faces.nodes, "base")
    assert faces.swap("base", {}) == base
    assert faces.swap("base", {"hair": "x"}) == base | dict.fromkeys(["bg_hair_clothes", "hair"], "x")
    assert faces.swap("base", {"mouth": "x"}) == base | dict.fromkeys(["skin_mouth", "face"], "x")
    assert faces.swap("base", {"eyes": "x", "face": "y"}) == base | dict.fromkeys(
        ["skin_mouth", "mouth", "skin"], "y"
    ) | dict.fromkeys(["eyes", "face"], "x")
    cars = RegionTree.load("car")
    assert cars.swap("base", {"car": "x", "wheels": "y"})["wheels"] == "x"


def test_an_unknown_control_is_refused(faces):
    with pytest.raises(InputError, match="no control 'wheels'; this tree has hair, face"):
        faces.swap("base", {"wheels": "x"})
