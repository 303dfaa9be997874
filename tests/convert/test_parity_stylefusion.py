"""StyleFusion against the recorded behaviour of the official code (fusionnet, hierarchy_ffhq, _car, _church).

The hierarchies were recorded with the style layout of 64 pixels, the converted ones have that of the official
generator. Every style layer is blended for itself, so the recorded codes are put into the first convolutions and the
first toRGB layers of larger ones, and read from there.
"""

import itertools
import json

import numpy as np
import pytest
import torch

from sfhub.convert import convert, convert_with_report, stylefusion
from sfhub.errors import InputError
from sfhub.models.fusion import FusionHierarchy, FusionNet
from sfhub.models.region_tree import RegionTree

TOLERANCE = 2e-5
NAMES = {"ffhq": (1024, 9088), "car": (512, 8960), "church": (256, 8704)}


def style_layers(layout):
    """Names and widths for the fixtures' lists of widths."""
    convolutions, to_rgbs = layout
    names = ["conv1"] + [f"convs.{k}" for k in range(len(convolutions) - 1)]
    names += ["to_rgb1"] + [f"to_rgbs.{k}" for k in range(len(to_rgbs) - 1)]
    return list(zip(names, convolutions + to_rgbs, strict=True))


def places(hierarchy, manifest):
    """Where the recorded layers lie in the codes of a converted hierarchy."""
    layers, start, found = hierarchy.config.style_layers, 0, []
    counts = {"conv": len(manifest["layout"]["conv"]), "to_rgb": len(manifest["layout"]["rgb"])}
    for name, width in layers:
        kind = "to_rgb" if name.startswith("to_rgb") else "conv"
        if counts[kind]:
            found.append(torch.arange(start, start + width))
            counts[kind] -= 1
        start += width
    return torch.cat(found)


class Recording:
    """A recorded hierarchy beside the converted one."""

    def __init__(self, hierarchy, folder, fill):
        self.hierarchy = hierarchy
        self.manifest = fill.load_manifest(folder / "manifest.json")
        self.expected = np.load(folder / "expected.npz")
        self.places = places(hierarchy, self.manifest)
        self.inputs = {
            name.removeprefix("s."): self.embed(fill.seeded_input(self.manifest, name))
            for name in self.manifest["seeded_inputs"]
        }

    def embed(self, code):
        return torch.ones(len(code), self.hierarchy.style_size).index_copy(1, self.places, code)

    def row(self, source, row=slice(0, 1)):
        return self.inputs[source.removeprefix("s.")][row]

    def got(self, name):
        """The hierarchy's answer to a recorded case."""
        codes = self.inputs if name == "fused" else {node: code[:1] for node, code in self.inputs.items()}
        if name.startswith("bypass."):
            codes = {node: code for node, code in codes.items() if node != name.removeprefix("bypass.")}
        if name.startswith("swap."):
            sources = dict(self.manifest["swap_cases"][name])
            base = self.row(sources.pop("base"))
            codes = self.hierarchy.tree.swap(base, {control: self.row(source) for control, source in sources.items()})
        with torch.no_grad():
            return self.hierarchy(codes)[:, self.places]


def write_official(folder, manifest, fill, name, nodes=None):
    """The official files of a hierarchy as they lie in its repository; returns the JSON file."""
    files = {}
    for node in nodes or manifest["networks"]:
        files[node] = f"weights/{name}/{node}.pt"
        (folder / files[node]).parent.mkdir(parents=True, exist_ok=True)
        state = fill.network_state(manifest, node)
        torch.save({"state_dict": state} if node == "all" else state, folder / files[node])
    path = folder / "weights" / f"{name}_weights.json"
    path.write_text(json.dumps(files))
    return path


@pytest.fixture(scope="module")
def fusion_manifest(fixtures_dir, fill):
    return fill.load_manifest(fixtures_dir / "fusionnet" / "manifest.json")


@pytest.fixture(scope="module")
def fusion_state(fusion_manifest, fill):
    state = fill.network_state(fusion_manifest, "fusion")
    return {key.removeprefix("nets.x."): value for key, value in stylefusion.renamed("x", state)}


@pytest.mark.parametrize("size", ["size64", "size1024"])
def test_a_fusion_net_gives_the_official_codes_in_all_three_modes(
    size, fusion_manifest, fusion_state, fixtures_dir, relative_error
):
    net = FusionNet(style_layers(fusion_manifest["layout"][size]))
    net.load_state_dict(fusion_state, assign=True)
    expected = np.load(fixtures_dir / "fusionnet" / "expected.npz")
    s0, s1, s2 = (torch.from_numpy(expected[f"{size}.s{i}"]) for i in range(3))
    with torch.no_grad():
        got = {
            "full": net(s0, s1, s2),
            "only_common": net.align_only(s0, s2).code,
            "only_segments": net.fuse_only(s0, s1).code,
        }
    errors = {mode: relative_error(code, expected[f"{size}.{mode}"]) for mode, code in got.items()}
    assert max(errors.values()) < TOLERANCE, errors


@pytest.mark.parametrize("name", NAMES)
def test_a_hierarchy_gives_the_official_codes_fused_bypassed_and_swapped(name, fixtures_dir, fill, relative_error):
    folder = fixtures_dir / f"hierarchy_{name}"
    manifest = fill.load_manifest(folder / "manifest.json")
    states = {node: fill.network_state(manifest, node) for node in manifest["networks"]}
    hierarchy = stylefusion.load(stylefusion.FusionFiles(name, states)).hierarchy
    recording = Recording(hierarchy, folder, fill)
    cases = [case for case in recording.expected.files if not case.startswith("s.")]
    errors = {case: relative_error(recording.got(case), recording.expected[case]) for case in cases}
    assert len(errors) >= 4 and max(errors.values()) < TOLERANCE, errors
    assert (hierarchy.config.resolution, hierarchy.style_size) == NAMES[name]
    assert list(hierarchy.active_nodes) == manifest["active_parts"]
    assert len(hierarchy.nets) == manifest["fusion_net_count"]


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_trees_and_their_controls_are_the_official_ones(name, fixtures_dir, fill):
    manifest = fill.load_manifest(fixtures_dir / f"hierarchy_{name}" / "manifest.json")
    tree = RegionTree.load(name)
    assert {node: list(pair) for node, pair in tree.children.items()} == manifest["tree"]
    assert tree.nodes == tuple(manifest["active_parts"])
    kept = {
        control: {node for node in manifest["swap_keys"][control] if node in tree.nodes}
        for control in manifest["swap_order"]
    }
    assert {control: set(nodes) for control, nodes in tree.controls.items()} == {
        control: nodes for control, nodes in kept.items() if nodes and control in tree.controls
    }
    assert list(tree.controls) == [control for control in manifest["swap_order"] if control in tree.controls]


def test_the_official_files_become_a_folder_that_gives_the_official_codes(fixtures_dir, fill, relative_error, tmp_path):
    folder = fixtures_dir / "hierarchy_church"
    path = write_official(tmp_path, fill.load_manifest(folder / "manifest.json"), fill, "church")
    report = convert_with_report(path, tmp_path / "out")
    assert "all, church, background" in str(report) and "256 px and 8,704 styles" in str(report)
    recording = Recording(FusionHierarchy.from_pretrained(tmp_path / "out"), folder, fill)
    for case in ("fused", "bypass.church", "swap.background", "swap.all"):
        assert relative_error(recording.got(case), recording.expected[case]) < TOLERANCE


# The rest needs no fixtures: small networks under the official names -----------------------------------------------


def small_state(hidden=(3, 4), repeats=2, width=512):
    """An official FusionNet of other depths and widths."""
    state = {}
    for blender, rows in (("blender_common", 2), ("blender_segments", 3)):
        sizes = [rows * width + 19 * repeats, *hidden, width]
        for i, (before, after) in enumerate(itertools.pairwise(sizes)):
            state[f"{blender}.disentangle_net.{i}.weight"] = torch.randn(after, before) * 100
            state[f"{blender}.disentangle_net.{i}.bias"] = torch.randn(after) * 10
    return state


@pytest.fixture
def small_files(tmp_path):
    """JSON file and folder of a small car hierarchy with two of its three networks."""
    (tmp_path / "nets").mkdir()
    torch.save(small_state(), tmp_path / "nets" / "all.pt")
    torch.save({"state_dict": small_state()}, tmp_path / "nets" / "car.pt")
    path = tmp_path / "files.json"
    path.write_text(json.dumps({"all": "nets/all.pt", "car": "nets/car.pt"}))
    return path


def test_widths_depth_and_encoding_are_read_off_the_files(small_files, tmp_path):
    hierarchy = FusionHierarchy.from_pretrained(convert(small_files, tmp_path / "out"))
    assert hierarchy.config.hidden_widths == [3, 4] and hierarchy.config.encoding_repeats == 2
    assert hierarchy.active_nodes == ("all", "car", "car_body", "wheels", "background")
    assert hierarchy.config.resolution == 512
    convert(small_files, tmp_path / "out")  # an earlier conversion may be replaced


def test_a_single_fusion_net_is_refused_with_what_to_convert_instead(small_files, tmp_path):
    with pytest.raises(InputError, match=r"all\.pt: this is the network of one node.*JSON file"):
        convert(tmp_path / "nets" / "all.pt", tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"all": "nets/all.pt", "nose": "nets/car.pt"}', "nodes all, nose, which fit none"),
        ("{}", "fit none of the official trees"),
        ('["nets/all.pt"]', "no JSON object"),
        ('{"all": "nets/', "damaged"),
        ('{"all": 7}', "'all' something other than the name"),
        ('{"all": "nets/missing.pt"}', r"'nets/missing\.pt' for node 'all', which is neither"),
        ('{"all": "files.json"}', "was not opened"),
    ],
)
def test_a_json_file_that_names_something_else_is_refused(text, message, small_files, tmp_path):
    small_files.write_text(text)
    with pytest.raises(InputError, match=message):
        convert(small_files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["missing", "superfluous", "other width", "no encoding", "integer", "other network"])
def test_damaged_networks_are_refused(change, small_files, tmp_path):
    state = small_state()
    if change == "missing":
        del state["blender_segments.disentangle_net.1.bias"]
    elif change == "superfluous":
        state["blender_other.weight"] = torch.zeros(1)
    elif change == "other width":
        state = small_state(hidden=(3, 5))
    elif change == "no encoding":
        state = small_state(repeats=0)
    elif change == "integer":
        state["blender_common.disentangle_net.1.bias"] = torch.zeros(4, dtype=torch.int64)
    else:
        state = {"fc.weight": torch.zeros(2, 2)}
    torch.save(state, tmp_path / "nets" / "car.pt")
    with pytest.raises(InputError, match=r"^files\.json: [^\n]*\.$"):
        convert(small_files, tmp_path / "out")
    assert not (tmp_path / "out").exists()
