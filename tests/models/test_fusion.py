"""What fusion networks and hierarchies guarantee whatever their weights, and what they refuse."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.metrics.fusion_speed import lean_linear, measure, one_layer_at_a_time
from sfhub.models.fusion import FusionHierarchy, FusionNet
from sfhub.models.layers import EqualLinear
from sfhub.models.region_tree import RegionTree
from sfhub.models.stylegan2 import StyleGAN2Generator

TREE = RegionTree({"all": ["face", "back"], "face": ["eyes", "skin"], "back": ["hair", "bg"]})
LAYERS = [["conv1", 12], ["convs.0", 12], ["convs.1", 6], ["to_rgb1", 12], ["to_rgbs.0", 3]]
SIZE = 45


def randomised(network):
    """Weights that make coefficients all over (0, 1)."""
    source = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        scale = 300 if parameter.ndim > 1 else 50
        parameter.data.copy_(torch.randn(parameter.shape, generator=source) * scale)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def net():
    return randomised(FusionNet(LAYERS, width=12, hidden_widths=(20, 16), common_layers=2))


@pytest.fixture(scope="module")
def hierarchy(tiny_generator):
    return randomised(FusionHierarchy.for_generator(tiny_generator, TREE, hidden_widths=(24, 16), common_layers=3))


def codes_of(hierarchy, batch=1, seed=0):
    source = torch.Generator().manual_seed(seed)
    return {node: torch.randn(batch, hierarchy.style_size, generator=source) for node in hierarchy.tree.nodes}


def random_codes(count, batch=2, size=SIZE):
    return torch.randn(count, batch, size, generator=torch.Generator().manual_seed(1)).unbind()


# One network --------------------------------------------------------------------------------------------------------


def test_equal_codes_in_give_exactly_that_code_out(net):
    (code,) = random_codes(1)
    for result in (net(code, code, code), net.align_only(code, code).code, net.fuse_only(code, code).code):
        assert torch.equal(result, code)


def test_equal_siblings_give_that_code_where_the_layout_is_not_heeded(net):
    code, layout = random_codes(2)
    fused = net(code, code, layout)
    heeded = torch.cat([torch.arange(24), torch.arange(30, SIZE)])  # the first two of each kind
    assert torch.equal(fused[:, 24:30], code[:, 24:30])
    assert (fused[:, heeded] != code[:, heeded]).all()


def test_every_channel_stays_between_the_codes_it_comes_from(net):
    first, second, layout = random_codes(3)
    fused = net(first, second, layout)
    stacked = torch.stack([first, second, layout])
    assert (fused >= stacked.amin(0) - 1e-6).all() and (fused <= stacked.amax(0) + 1e-6).all()


def test_the_modes_compose_where_the_encodings_agree(net):
    first, second, layout = random_codes(3)
    unheeded = slice(24, 30)
    assert torch.equal(net.align_only(first, layout).code[:, unheeded], first[:, unheeded])
    assert torch.allclose(net(first, second, layout)[:, unheeded], net.fuse_only(first, second).code[:, unheeded])


def test_a_channel_of_a_narrow_layer_takes_the_largest_of_its_copies(net):
    first, second = random_codes(2)
    result = net.fuse_only(first, second)
    last = slice(SIZE - 3, SIZE)  # to_rgbs.0: three channels, four copies each
    a, b = (code[:, last].repeat_interleave(4, dim=1) for code in (first, second))
    copies = a + result.fuse_coefficient[:, -1] * (b - a)
    assert torch.allclose(result.code[:, last], copies.unflatten(1, (3, 4)).amax(dim=2))


def test_widths_that_do_not_divide_the_row_are_repeated_as_nearest_up_sampling_does():
    net = FusionNet([["conv1", 7], ["to_rgb1", 5]], width=7, hidden_widths=(8,))
    code = torch.arange(12.0)[None]
    rows = net.rows.enlarge(code)
    assert torch.equal(rows[0, 1], torch.nn.functional.interpolate(code[None, :, 7:], 7, mode="nearest")[0, 0])
    assert torch.equal(net.rows.shrink(rows), code)


def test_coefficients_tell_how_far_codes_went_to_the_layout(net):
    first, second, layout = random_codes(3)
    result = net.align_and_fuse(first, second, layout)
    assert result.align_coefficient.shape == (2, 2, 4, 12) and result.fuse_coefficient.shape == (2, 5, 12)
    assert 0.1 < result.align_coefficient.mean() < 0.9
    aligned = net.align_only(first, layout)
    expected = first[:, :12] + aligned.align_coefficient[0, :, 0] * (layout - first)[:, :12]
    assert torch.allclose(aligned.code[:, :12], expected)


def test_gradients_reach_every_weight_and_every_code():
    net = FusionNet(LAYERS, width=12, hidden_widths=(20, 16), common_layers=2)
    codes = [code.requires_grad_() for code in random_codes(3)]
    net(*codes).square().sum().backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in [*net.parameters(), *codes])


@pytest.mark.parametrize(
    ("layers", "width", "message"),
    [
        ([["conv1", 16]], 12, "conv1 has 16 channels, which do not fit into rows of width 12"),
        ([[f"convs.{k}", 4] for k in range(19)], 4, "19 layers of a kind where this fusion network tells 1 to 18"),
    ],
)
def test_layers_that_do_not_fit_the_network_are_refused(layers, width, message):
    with pytest.raises(InputError, match=message):
        FusionNet(layers, width=width)


# The hierarchy ------------------------------------------------------------------------------------------------------


def test_all_layers_at_once_give_what_one_pass_per_layer_gives(hierarchy):
    codes = codes_of(hierarchy, batch=3)
    for linear in (EqualLinear.forward, lean_linear):
        assert torch.allclose(hierarchy(codes), one_layer_at_a_time(hierarchy, codes, linear), atol=1e-5)


def test_a_batch_gives_what_its_singles_give(hierarchy):
    codes = codes_of(hierarchy, batch=3)
    singles = [hierarchy({node: code[i : i + 1] for node, code in codes.items()}) for i in range(3)]
    assert torch.allclose(hierarchy(codes), torch.cat(singles), atol=1e-5)


def test_a_batch_of_one_goes_with_any_other(hierarchy):
    codes = codes_of(hierarchy, batch=3)
    codes["hair"] = codes["hair"][:1]
    expanded = codes | {"hair": codes["hair"].expand(3, -1)}
    assert torch.equal(hierarchy(codes), hierarchy(expanded))


def test_equal_codes_everywhere_give_exactly_that_code_back(hierarchy):
    code = codes_of(hierarchy)["all"]
    copies = {node: code.clone() for node in hierarchy.tree.nodes}  # no shortcut by identity
    assert torch.equal(hierarchy(copies), code)
    assert torch.equal(hierarchy.mix({"all": code}), code)


def test_swapping_a_regions_source_twice_restores_the_code(hierarchy):
    codes = codes_of(hierarchy)
    first = hierarchy(codes)
    codes["eyes"], codes["hair"] = codes["hair"], codes["eyes"]
    second = hierarchy(codes)
    codes["eyes"], codes["hair"] = codes["hair"], codes["eyes"]
    assert not torch.allclose(first, second) and torch.equal(hierarchy(codes), first)


def test_how_fine_the_control_is_can_be_chosen_at_any_time(hierarchy):
    base, source = (codes_of(hierarchy, seed=seed)["all"] for seed in (0, 1))
    coarse = hierarchy.mix({"all": base, "face": source})
    fine = hierarchy.mix({"all": base, "face": source.clone(), "eyes": source.clone(), "skin": source.clone()})
    assert torch.equal(coarse, fine)


def test_a_node_whose_children_have_no_codes_returns_its_own(hierarchy):
    codes = codes_of(hierarchy)
    without = {node: code for node, code in codes.items() if node != "skin"}
    replaced = {node: code for node, code in codes.items() if node not in ("eyes", "skin")}
    assert torch.equal(hierarchy(without), hierarchy(replaced))
    only = {node: codes[node] for node in ("all", "back", "hair", "bg")}
    assert torch.equal(hierarchy(only), codes["all"])  # as the official code: one child is missing, so the root decides


def test_a_layout_given_to_the_root_reaches_the_result(hierarchy):
    base, layout = (codes_of(hierarchy, seed=seed)["all"] for seed in (0, 1))
    moved = hierarchy.mix({"all": base}, {"all": layout})
    channels = hierarchy.nets["all"].aligned_rows.channels
    unheeded = torch.ones(hierarchy.style_size, dtype=torch.bool).index_fill(0, channels, False)
    assert not torch.allclose(moved[:, channels], base[:, channels])
    assert torch.equal(moved[:, unheeded], base[:, unheeded])


def test_a_node_without_a_network_stands_for_all_below_it(tiny_generator):
    small = randomised(
        FusionHierarchy.for_generator(tiny_generator, TREE, hidden_widths=(8,), fusion_nodes=["all", "face"])
    )
    assert small.active_nodes == ("all", "face", "eyes", "skin", "back")
    codes = codes_of(small)
    assert torch.equal(small(codes), small({node: codes[node] for node in small.active_nodes}))


def test_a_hierarchy_is_saved_and_loaded_whole(hierarchy, tmp_path):
    hierarchy.save_pretrained(tmp_path)
    again = FusionHierarchy.from_pretrained(tmp_path)
    assert again.tree == TREE and not again.training
    codes = codes_of(hierarchy, batch=2)
    assert torch.equal(again(codes), hierarchy(codes))


def test_a_hierarchy_of_another_precision_works_on_codes_of_it(hierarchy, tmp_path):
    hierarchy.save_pretrained(tmp_path)
    double = FusionHierarchy.from_pretrained(tmp_path).double()
    codes = codes_of(hierarchy)
    got = double({node: code.double() for node, code in codes.items()})
    assert got.dtype == torch.float64 and torch.allclose(got.float(), hierarchy(codes), atol=1e-4)


def test_the_benchmark_measures_every_way(hierarchy):
    result = measure(hierarchy, codes_of(hierarchy), repeats=2)
    assert all(value > 0 for value in result.values())
    assert result["times_faster"] == pytest.approx(result["per_layer"] / result["hierarchy"])


# Bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda codes: codes.update(nose=codes["all"]), "node 'nose', which this tree does not have"),
        (lambda codes: codes.pop("all"), "code of node 'all' is missing"),
        (lambda codes: codes.update(hair=torch.zeros(1, 7)), r"'hair' has shape \[1, 7\].*32 pixels takes \[batch, "),
        (lambda codes: codes.update(hair=torch.zeros(7)), r"'hair' has shape \[7\]"),
        (lambda codes: codes.update(hair=codes["hair"].repeat(2, 1), bg=codes["bg"].repeat(3, 1)), "batches of 2, 3"),
    ],
)
def test_codes_that_do_not_fit_are_refused(change, message, hierarchy):
    codes = codes_of(hierarchy)
    change(codes)
    with pytest.raises(InputError, match=message):
        hierarchy(codes)


def test_a_generator_of_another_layout_is_refused_naming_both(hierarchy, tiny_generator):
    hierarchy.check_generator(tiny_generator)
    other = StyleGAN2Generator(
        resolution=16, z_dim=8, w_dim=8, num_mapping_layers=1, channels={"4": 8, "8": 8, "16": 8}
    )
    with pytest.raises(InputError, match=r"32 pixels with \d+ styles and does not fit one of 16 pixels with 64 styles"):
        hierarchy.check_generator(other)


@pytest.mark.parametrize("nodes", [["hair"], ["face", "face"], ["nose"]])
def test_networks_at_nodes_that_cannot_have_one_are_refused(nodes, tiny_generator):
    with pytest.raises(InputError, match=r"(cannot have a network|does not have)"):
        FusionHierarchy.for_generator(tiny_generator, TREE, hidden_widths=(4,), fusion_nodes=nodes)
