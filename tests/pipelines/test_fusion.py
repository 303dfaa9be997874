"""Mixing regions with a fusion hierarchy: names, strengths, layouts, recipes, folders, the command line."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sfhub.cli import main
from sfhub.errors import InputError
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.region_tree import RegionTree
from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.pipelines.redo import redo
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.steps.recipe import check_recipe

NODES = ("all", "face", "skin", "mouth", "rest", "background", "hair")


def pixels(sample):
    return np.asarray(sample.image)


@pytest.fixture(scope="module")
def abc(fusion_pipeline):
    return fusion_pipeline.sample([1, 2, 3])


@pytest.fixture(scope="module")
def folder(fusion_pipeline, tmp_path_factory):
    """The model with the hierarchy, saved."""
    folder = tmp_path_factory.mktemp("models") / "fused"
    fusion_pipeline.save_pretrained(folder)
    return folder


# Mixing


def test_with_a_hierarchy_regions_are_fused_by_default(fusion_pipeline, tiny_hierarchy, abc):
    a, b, c = abc
    expected = tiny_hierarchy.mix({"all": a.s, "face": b.s, "mouth": c.s})
    for mixed in (
        fusion_pipeline(a, regions={"mouth": c, "face": b}),
        fusion_pipeline.mix(a, {"face": b, "mouth": c}, method="fusion"),
    ):
        assert torch.equal(mixed.s, expected)
        assert not np.array_equal(pixels(mixed), pixels(a))


def test_a_layout_reaches_every_inner_node_and_leaves_the_look_alone(fusion_pipeline, tiny_hierarchy, abc):
    a, b, c = abc
    mixed = fusion_pipeline(a, {"face": b}, layout=c)
    assert torch.equal(mixed.s, tiny_hierarchy.mix({"all": a.s, "face": b.s}, layouts={"all": c.s}))
    posed = fusion_pipeline(a, layout=c)
    assert torch.equal(posed.s, tiny_hierarchy.mix({"all": a.s}, layouts={"all": c.s}))
    assert not np.array_equal(pixels(posed), pixels(a))


def test_the_regions_are_the_nodes_that_networks_reach_the_single_ones_first(fusion_pipeline, tiny_generator):
    assert fusion_pipeline.regions == ("skin", "mouth", "background", "hair", "all", "face", "rest")
    tree = fusion_pipeline.fusion.tree
    shallow = FusionHierarchy.for_generator(tiny_generator, tree, hidden_widths=[8], fusion_nodes=["all", "rest"])
    pipe = StyleGANPipeline(tiny_generator, fusion=shallow.eval())
    assert pipe.regions == ("face", "background", "hair", "all", "rest")
    a, b = pipe.sample([1, 2])
    with pytest.raises(InputError, match="'mouth' cannot be fused by itself, for a node above it has no network"):
        pipe(a, {"mouth": b})


def test_a_name_that_only_the_catalog_has_stands_for_its_leaf(tiny_generator, tiny_catalog):
    tree = RegionTree({"all": ["person", "bg"]}, regions={"bg": ["background"], "person": ["hair", "face", "mouth"]})
    fusion = FusionHierarchy.for_generator(tiny_generator, tree, hidden_widths=[8]).eval()
    pipe = StyleGANPipeline(tiny_generator, tiny_catalog, fusion=fusion)
    a, b = pipe.sample([1, 2])
    assert torch.equal(pipe(a, {"background": b}).s, pipe(a, {"bg": b}).s)
    with pytest.raises(InputError, match=r"was given twice, as the catalog and as the hierarchy name it; give 'bg'"):
        pipe(a, {"bg": b, "background": b})


def test_a_node_means_the_same_to_editing_in_style(fusion_pipeline, tiny_pipeline, abc):
    a, b, c = abc
    x, y, z = tiny_pipeline.sample([1, 2, 3])
    by_node = fusion_pipeline.mix(a, {"face": b, "mouth": c}, {"face": 0.5}, method="catalog")
    by_region = tiny_pipeline.mix(x, {"face": y, "mouth": z}, {"face": 0.5})
    assert torch.equal(by_node.s, by_region.s)
    assert torch.equal(fusion_pipeline.mix(a, {"skin": b}, method="catalog").s, tiny_pipeline.mix(x, {"face": y}).s)
    assert by_node.recipe["steps"][-1] == by_region.recipe["steps"][-1]
    assert fusion_pipeline.covered_by("face") == ("face", "mouth") and fusion_pipeline.covered_by("skin") == ("face",)


def test_a_method_without_settings_takes_the_relevance_itself(fusion_pipeline, tiny_catalog, abc):
    a, b, _ = abc
    mixed = fusion_pipeline.mix(a, {"hair": b}, method="contribution")
    torch.testing.assert_close(mixed.s, a.s + tiny_catalog.contribution[1] * (b.s - a.s))
    # Recipes of sfhub 0.1.0 call it so.
    assert torch.equal(fusion_pipeline.mix(a, {"hair": b}, method="activation").s, mixed.s)


# Strength


@settings(max_examples=25, deadline=None)
@given(nodes=st.sets(st.sampled_from(NODES), min_size=1), strength=st.floats(0, 1))
def test_a_picture_fused_with_itself_is_that_picture(fusion_pipeline, abc, nodes, strength):
    mixed = fusion_pipeline(abc[0], dict.fromkeys(nodes, abc[0]), strength, layout=abc[0])
    torch.testing.assert_close(mixed.s, abc[0].s)


@settings(max_examples=25, deadline=None)
@given(nodes=st.sets(st.sampled_from(NODES), min_size=1))
def test_strength_zero_of_everything_is_the_base(fusion_pipeline, abc, nodes):
    mixed = fusion_pipeline(abc[0], dict.fromkeys(nodes, abc[1]), 0, layout=abc[2])
    assert torch.equal(mixed.s, abc[0].s)


def test_strength_zero_is_leaving_the_source_out(fusion_pipeline, abc):
    a, b, c = abc
    without = fusion_pipeline(a, {"face": b})
    assert torch.equal(fusion_pipeline(a, {"face": b, "mouth": c}, {"mouth": 0}).s, without.s)
    assert torch.equal(fusion_pipeline(a, {"face": b}, layout=c, layout_strength=0).s, without.s)


def test_strength_moves_from_what_a_node_covers_it_with(fusion_pipeline, tiny_hierarchy, abc):
    a, b, c = abc
    mixed = fusion_pipeline(a, {"face": b, "mouth": c}, {"mouth": 0.25})
    torch.testing.assert_close(
        mixed.s, tiny_hierarchy.mix({"all": a.s, "face": b.s, "mouth": torch.lerp(b.s, c.s, 0.25)})
    )
    posed = fusion_pipeline(a, {"hair": b}, layout=c, layout_strength=0.25)
    halfway = {"all": torch.lerp(a.s, c.s, 0.25)}
    torch.testing.assert_close(posed.s, tiny_hierarchy.mix({"all": a.s, "hair": b.s}, layouts=halfway))


def test_a_region_may_be_called_layout(tiny_generator, abc):
    tree = RegionTree({"all": ["layout", "rest"], "rest": ["background", "hair"]})
    hierarchy = FusionHierarchy.for_generator(tiny_generator, tree, hidden_widths=[16]).eval()
    pipe = StyleGANPipeline(tiny_generator, fusion=hierarchy)
    a, b, c = pipe.sample([1, 2, 3])
    mixed = pipe(a, {"layout": b}, {"layout": 0.25}, layout=c, layout_strength=0.75)
    step = mixed.recipe["steps"][-1]
    assert (step["regions"], step["strengths"], step["layout"]) == (["layout"], [0.25, 0.75], True)
    assert pipe(a, {"layout": b}, {"layout": 0.25}, layout=c).recipe["steps"][-1]["strengths"] == [0.25, 1.0]


def test_the_strength_of_the_layout_is_still_understood_among_those_of_regions(fusion_pipeline, abc):
    a, b, c = abc
    former = fusion_pipeline(a, {"hair": b}, {"hair": 0.5, "layout": 0.25}, layout=c)
    assert former.recipe == fusion_pipeline(a, {"hair": b}, {"hair": 0.5}, layout=c, layout_strength=0.25).recipe


# Batches and films


def test_batches_of_sources_and_layouts_equal_singles(fusion_pipeline, abc):
    a, b, c = abc
    together = fusion_pipeline([a, b], {"hair": c, "face": [b, a]}, layout=[c, a])
    alone = [fusion_pipeline(a, {"hair": c, "face": b}, layout=c), fusion_pipeline(b, {"hair": c, "face": a}, layout=a)]
    assert all(np.array_equal(pixels(x), pixels(y)) for x, y in zip(together, alone, strict=True))
    assert len(fusion_pipeline(a, {}, layout=[b, c, a])) == 3
    with pytest.raises(InputError, match=r"Batches of \[2, 3\] pictures do not go together"):
        fusion_pipeline([a, b], {"hair": c}, layout=[a, b, c])


def test_a_film_of_a_region_ends_at_the_fused_mix(fusion_pipeline, abc):
    a, b, _ = abc
    film = fusion_pipeline.interpolate(a, b, 3, regions=["face"])
    assert torch.equal(film[0].s, a.s)
    assert torch.equal(film[1].s, fusion_pipeline(a, {"face": b}, 0.5).s)
    assert torch.equal(film[2].s, fusion_pipeline(a, {"face": b}).s)
    by_catalog = fusion_pipeline.interpolate(a, b, 3, regions=["face"], method="catalog")
    torch.testing.assert_close(by_catalog[2].s, fusion_pipeline.mix(a, {"face": b}, method="catalog").s)


# Recipes


def test_fused_pictures_are_made_again_bit_for_bit(folder, tmp_path):
    pipe = StyleGANPipeline.from_pretrained(folder)
    a, b, c = pipe.sample([1, 2, 3])
    mixed = pipe(a, {"face": b, "mouth": c}, {"mouth": 0.3}, layout=c, layout_strength=0.8)
    assert mixed.recipe["steps"][-1] == {
        "op": "mix",
        "inputs": [0, 1, 2, 2],
        "method": "fusion",
        "regions": ["face", "mouth"],
        "strengths": [1.0, 0.3, 0.8],
        "layout": True,
    }
    film = pipe.interpolate(mixed, b, 3, regions=["hair"])[1]
    for number, picture in enumerate([mixed, pipe(a, layout=b), pipe(mixed, {"hair": c}, method="catalog"), film]):
        again = redo(picture.save(tmp_path / f"{number}.png"), folder)
        assert np.array_equal(pixels(again), pixels(picture)) and again.recipe == picture.recipe


def test_a_recipe_from_before_there_was_a_hierarchy_still_edits_in_style(fusion_pipeline, tiny_pipeline):
    a, b = tiny_pipeline.sample([1, 2])
    mixed = tiny_pipeline.mix(a, {"face": b}, 0.6)
    assert "method" not in mixed.recipe["steps"][-1]
    assert torch.equal(fusion_pipeline.redo(check_recipe(mixed.recipe)).s, mixed.s)


def test_a_fused_picture_needs_a_model_with_a_hierarchy(fusion_pipeline, tiny_pipeline, abc):
    mixed = fusion_pipeline(abc[0], {"hair": abc[1]})
    with pytest.raises(InputError, match="This model has no fusion hierarchy, which method 'fusion' takes"):
        tiny_pipeline.redo(mixed.recipe)
    mixed.recipe["steps"][-1]["regions"] = ["tail"]
    with pytest.raises(InputError, match="There is no region 'tail'"):
        fusion_pipeline.redo(mixed.recipe)


# Folders


def test_the_hierarchy_is_saved_and_loaded_with_the_model(folder, fusion_pipeline, tmp_path):
    pipe = StyleGANPipeline.from_pretrained(folder)
    assert pipe.fusion.tree == fusion_pipeline.fusion.tree
    a, b = pipe.sample([1, 2])
    x, y = fusion_pipeline.sample([1, 2])
    assert np.array_equal(pixels(pipe(a, {"face": b})), pixels(fusion_pipeline(x, {"face": y})))
    card = (folder / "README.md").read_text()
    assert "| `fusion` | `FusionHierarchy` |" in card and "3 fusion networks (StyleFusion)" in card
    pipe.save_pretrained(tmp_path / "again")
    assert StyleGANPipeline.from_pretrained(tmp_path / "again").source.revision == pipe.source.revision


def test_a_model_saved_without_a_hierarchy_loads_and_takes_one(tiny_pipeline, tiny_hierarchy, tmp_path):
    tiny_pipeline.save_pretrained(tmp_path)
    index = tmp_path / "model_index.json"
    entries = json.loads(index.read_text())
    del entries["fusion"]
    index.write_text(json.dumps(entries))
    assert StyleGANPipeline.from_pretrained(tmp_path).fusion is None
    assert StyleGANPipeline.from_pretrained(tmp_path, fusion=tiny_hierarchy).fusion is tiny_hierarchy


# What goes wrong


def test_a_hierarchy_of_another_generator_is_refused(tiny_hierarchy):
    other = StyleGAN2Generator(resolution=8, z_dim=8, w_dim=8, num_mapping_layers=1, channels={"4": 8, "8": 8})
    with pytest.raises(InputError, match=r"hierarchy was made for a generator of 32 pixels .* one of 8 pixels"):
        StyleGANPipeline(other, fusion=tiny_hierarchy)


@pytest.mark.parametrize(
    ("regions", "options", "sentence"),
    [
        (["hiar"], {}, r"There is no region 'hiar' in this model: did you mean 'hair'\? It has skin, mouth"),
        (["tail"], {"method": "catalog"}, "There is no region 'tail' in this model"),
        ([], {}, "No region was given a source; choose from skin, mouth"),
        (["hair"], {"method": "magic"}, "no method 'magic'; choose one of contribution, influence, catalog, fusion"),
        (["hair"], {"mode": "threshold", "threshold": 0.5}, "The query settings mode, threshold are of Editing in"),
        (["hair"], {"layout": True, "method": "influence"}, "A layout needs .* but the method is 'influence'"),
        (["hair"], {"strength": {"layout": 1}}, "Region 'layout' has a strength but no source"),
        (["hair"], {"layout_strength": 0.5}, "The layout has a strength but no source"),
        (["hair"], {"layout": True, "layout_strength": 2}, "The strength of the layout is 2; take a number"),
    ],
)
def test_wrong_requests_to_fuse_are_one_sentence(fusion_pipeline, abc, regions, options, sentence):
    if "layout" in options:
        options = {**options, "layout": abc[2]}
    with pytest.raises(InputError, match=sentence) as caught:
        fusion_pipeline.mix(abc[0], dict.fromkeys(regions, abc[1]), **options)
    assert "\n" not in str(caught.value)


def test_without_a_hierarchy_a_layout_and_the_method_say_what_is_missing(tiny_pipeline):
    a, b = tiny_pipeline.sample([1, 2])
    with pytest.raises(InputError, match=r"A layout needs a fusion hierarchy .* but this model has none"):
        tiny_pipeline.mix(a, {"hair": b}, layout=b)
    with pytest.raises(InputError, match=r"no fusion hierarchy, .* train one with scripts/train_fusionnet\.py"):
        tiny_pipeline.mix(a, {"hair": b}, method="fusion")


def test_pictures_of_another_model_are_no_layout(fusion_pipeline, tiny_pipeline, abc):
    other = tiny_pipeline.sample(1)[0]
    with pytest.raises(InputError, match=r"A picture of model StyleGANPipeline .* cannot be used with model"):
        fusion_pipeline.mix(abc[0], {"hair": abc[1]}, layout=other)


# On the command line


def test_the_command_line_fuses_with_a_layout_or_edits_in_style(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pipe = StyleGANPipeline.from_pretrained(folder)
    a, b, c = pipe.sample([1, 2, 3])
    common = ["mix", "--model", str(folder), "--base", "1"]
    calls = {
        "fused.png": (["--region", "face=2", "--layout", "3", "--strength", "layout=0.5"],
                      pipe(a, {"face": b}, layout=c, layout_strength=0.5)),
        "posed.png": (["--layout", "2"], pipe(a, layout=b)),
        "styled.png": (["--region", "face=2", "--method", "catalog"], pipe(a, {"face": b}, method="catalog")),
    }  # fmt: skip
    for name, (arguments, expected) in calls.items():
        with pytest.raises(SystemExit) as caught:
            main([*common, *arguments, name])
        assert caught.value.code == 0
        assert np.array_equal(np.asarray(Image.open(name)), pixels(expected))


def test_the_command_line_refuses_a_layout_without_a_hierarchy(tiny_pipeline, tmp_path, capsys):
    tiny_pipeline.save_pretrained(tmp_path / "plain")
    with pytest.raises(SystemExit) as caught:
        main(["mix", "-m", str(tmp_path / "plain"), "--base", "1", "--layout", "2", str(tmp_path / "out.png")])
    assert caught.value.code == 2
    assert "A layout needs a fusion hierarchy" in capsys.readouterr().err
