"""`edit` on both families: kept to regions, stacked, locked, undone and made again from its recipe."""

import numpy as np
import pytest
import torch

from sfhub.editing.directions import EditDirections
from sfhub.editing.edits import Direction
from sfhub.editing.semantic import code_places
from sfhub.errors import InputError
from sfhub.pipelines.families import open_pipeline
from sfhub.pipelines.redo import redo
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline

FAMILIES = ["by_fusion", "by_catalog", "by_classes"]


def directions(pipe):
    space = pipe.code_space
    draw = torch.Generator().manual_seed(1)
    return [
        Direction("smile", "w", 3 * torch.randn(space.w_dim, generator=draw), "mouth", (-2.0, 2.0)),
        Direction("waves", "s", 2 * torch.randn(space.size, generator=draw), "hair", (-2.0, 2.0)),
        Direction("age", "z", torch.randn(space.z_dim, generator=draw), None, (-2.0, 2.0)),
    ]


@pytest.fixture
def by_fusion(tiny_generator, tiny_catalog, tiny_hierarchy, tiny_pipeline):
    made = EditDirections.of(directions(tiny_pipeline), tiny_pipeline.code_space)
    return StyleGANPipeline(tiny_generator, tiny_catalog, fusion=tiny_hierarchy, directions=made)


@pytest.fixture
def by_catalog(tiny_generator, tiny_catalog, tiny_pipeline):
    made = EditDirections.of(directions(tiny_pipeline), tiny_pipeline.code_space)
    return StyleGANPipeline(tiny_generator, tiny_catalog, directions=made)


@pytest.fixture
def by_classes(semantic_generator, semantic_pipeline):
    made = EditDirections.of(directions(semantic_pipeline), semantic_pipeline.code_space)
    return SemanticStyleGANPipeline(semantic_generator, directions=made)


@pytest.fixture(params=FAMILIES)
def pipe(request):
    return request.getfixturevalue(request.param)


def same(a, b):
    return a.image.tobytes() == b.image.tobytes()


def shown(pipe, picture):
    """Two regions that a toy model shows."""
    found = pipe.segment(picture)
    area = {name: (found.labels == k).sum() for k, name in enumerate(found.regions)}
    return sorted(area, key=area.get)[-2:]


def test_edits_are_listed_with_range_region_and_space(pipe, tiny_pipeline):
    assert list(pipe.edits) == ["smile", "waves", "age"]
    smile = pipe.edits["smile"]
    assert (smile.space, smile.region, smile.range) == ("w", "mouth", (-2.0, 2.0))
    assert tiny_pipeline.edits == {}


@pytest.mark.parametrize("name", ["smile", "waves", "age"])
def test_an_edit_changes_the_picture_and_strength_0_is_the_picture_itself(pipe, name):
    (base,) = pipe.sample(1)
    for region in ("hair", ["hair", "mouth"], None):
        assert not same(pipe.edit(base, name, 1.0, region), base)
        for lock in (False, True):
            still = pipe.edit(base, name, 0.0, region, lock=lock)
            assert same(still, base)
            assert torch.equal(still.s, base.s)


def test_the_region_of_the_edit_is_the_default_and_none_is_everywhere(pipe):
    (base,) = pipe.sample(1)
    assert same(pipe.edit(base, "smile", 1.0), pipe.edit(base, "smile", 1.0, "mouth"))
    assert not same(pipe.edit(base, "smile", 1.0), pipe.edit(base, "smile", 1.0, None))
    assert pipe.edit(base, "smile", 1.0).recipe["steps"][-1]["regions"] == ["mouth"]
    assert pipe.edit(base, "age", 1.0).recipe["steps"][-1]["regions"] is None


def test_a_batch_is_edited_as_each_picture_by_itself(pipe):
    pictures = pipe.sample([1, 2, 3])
    edited = pipe.edit(pictures, "smile", 1.5)
    assert all(same(one, pipe.edit(base, "smile", 1.5)) for one, base in zip(edited, pictures, strict=True))


def test_a_stack_of_ten_edits_is_made_again_from_its_recipe_and_taken_off_byte_for_byte(pipe, tmp_path):
    (base,) = pipe.sample(1)
    stack = [base]
    for k in range(10):
        name = ("smile", "waves", "age")[k % 3]
        stack.append(
            pipe.edit(stack[-1], name, 0.3 + 0.1 * k, (None, "hair", ["mouth", "face"])[k % 3], lock=k % 2 == 1)
        )
    path = stack[-1].save(tmp_path / "stack.png")
    assert redo(path, pipe).image.tobytes() == stack[-1].image.tobytes()
    assert len(stack[-1].recipe["steps"]) == 11
    for earlier in stack:  # an edit is taken off by leaving out its step
        taken_off = {**stack[-1].recipe, "steps": stack[-1].recipe["steps"][: len(earlier.recipe["steps"])]}
        assert pipe.redo(taken_off).image.tobytes() == earlier.image.tobytes()


def test_mixed_pictures_can_be_edited_and_edited_ones_mixed(pipe, tmp_path):
    a, b = pipe.sample([1, 2])
    mixed = pipe.mix(a, {"hair": b})
    for name in ("smile", "waves", "age"):
        edited = pipe.edit(mixed, name, 1.0)
        assert not same(edited, mixed)
        again = pipe.mix(edited, {"hair": a})
        assert redo(again.save(tmp_path / "again.png"), pipe).image.tobytes() == again.image.tobytes()


def test_a_lock_leaves_every_pixel_outside_the_region_as_it_was(pipe, tmp_path):
    (base,) = pipe.sample(1)
    there, elsewhere = shown(pipe, base)
    free, locked = (pipe.edit(base, "waves", 2.0, there, lock=lock) for lock in (False, True))
    assert torch.equal(free.s, locked.s)
    assert locked.outside.share == locked.outside.mean == 0
    assert free.outside.share > 0 and free.outside.mean > 0
    changed = (np.asarray(locked.image) != np.asarray(base.image)).any(axis=2)
    inside = pipe.region_mask([there], [(base.image, base.code), (free.image, free.code)])
    assert changed.any() and not changed[~inside].any()
    # It goes on from there, the lock of the next edit keeping this picture.
    further = pipe.edit(locked, "smile", 1.0, elsewhere, lock=True)
    assert further.outside.share == 0
    unlocked = pipe.edit(locked, "smile", 1.0, elsewhere)
    beside = ~pipe.region_mask([elsewhere], [(each.image, each.code) for each in (locked, unlocked)])
    assert np.array_equal(np.asarray(further.image)[beside], np.asarray(locked.image)[beside])
    page = pipe.grid([base, locked, further])
    for picture in (locked, further, page):
        assert redo(picture.save(tmp_path / "a.png"), pipe).image.tobytes() == picture.image.tobytes()


def test_only_the_codes_of_the_chosen_classes_move(by_classes):
    (base,) = by_classes.sample(1)
    edited = by_classes.edit(base, "smile", 1.0, "eyes")
    places = code_places(by_classes.generator, by_classes.region_names.indices(["eyes"]))
    moved = (by_classes.w_plus(edited) != by_classes.w_plus(base)).any(dim=2)[0].nonzero().flatten().tolist()
    assert sorted(moved) == sorted(places)


def test_the_chosen_nodes_take_the_edited_code_and_all_layouts_the_original(by_fusion):
    (base,) = by_fusion.sample(1)
    edited = by_fusion.edit(base, "smile", 1.0, None)
    tree = by_fusion.fusion.tree
    codes = dict.fromkeys(tree.nodes, base.s) | {"skin": edited.s, "mouth": edited.s}  # the leaves of "face"
    assert torch.equal(by_fusion.edit(base, "smile", 1.0, "face").s, by_fusion.fusion(codes))


def test_a_catalog_weighs_the_displacement_by_the_query(by_catalog, tiny_catalog):
    (base,) = by_catalog.sample(1)
    whole, hair = (by_catalog.edit(base, "smile", 1.0, region).s - base.s for region in (None, "hair"))
    torch.testing.assert_close(hair, tiny_catalog.default_query("hair") * whole, atol=1e-5, rtol=1e-5)


def test_the_way_of_keeping_to_regions_can_be_chosen(by_fusion, by_catalog):
    (base,) = by_fusion.sample(1)
    with_catalog = by_fusion.edit(base, "smile", 1.0, "hair", method="catalog")
    assert same(with_catalog, by_catalog.edit(by_catalog.sample(1)[0], "smile", 1.0, "hair"))
    with pytest.raises(InputError, match="by classes: it has fusion and catalog"):
        by_fusion.edit(base, "smile", 1.0, "hair", method="classes")


def test_an_edit_of_others_is_known_by_its_digest_and_has_to_be_given_again(pipe, tmp_path):
    (base,) = pipe.sample(1)
    vector = torch.ones(pipe.code_space.w_dim)
    theirs = Direction("smile", "w", vector, "mouth")
    edited = pipe.edit(base, theirs, 1.0)
    assert not same(edited, pipe.edit(base, "smile", 1.0))
    path = edited.save(tmp_path / "a.png")
    assert redo(path, pipe, edits=[theirs]).image.tobytes() == edited.image.tobytes()
    with pytest.raises(InputError, match=r"takes the edit 'smile' .* which its recipe does not hold; give it as edit"):
        redo(path, pipe)
    with pytest.raises(InputError, match="but another one was given; give it as edit"):
        redo(path, pipe, edits=[Direction("smile", "w", 2 * vector)])


def test_what_cannot_be_done_is_said(pipe, tiny_pipeline, caplog):
    (base,) = pipe.sample(1)
    with pytest.raises(InputError, match="no edit 'smil' in this model: did you mean 'smile'"):
        pipe.edit(base, "smil")
    with pytest.raises(InputError, match="no region 'hairs'"):
        pipe.edit(base, "smile", 1.0, "hairs")
    with pytest.raises(InputError, match="No region was named"):
        pipe.edit(base, "smile", 1.0, [])
    with pytest.raises(InputError, match="finite"):
        pipe.edit(base, "smile", float("nan"))
    with pytest.raises(InputError, match=r"direction of shape \[3\] in space w"):
        pipe.edit(base, Direction("x", "w", torch.ones(3)))
    with pytest.raises(InputError, match="is no edit"):
        pipe.edit(base, torch.ones(3))
    strong = pipe.edit(base, "smile", 7)
    assert "strength 7 was taken as 2" in caplog.text
    assert strong.recipe["steps"][-1]["strength"] == 2.0
    assert same(strong, pipe.edit(base, "smile", 2))


def test_a_model_with_nothing_that_could_keep_an_edit_to_a_region_edits_the_whole(tiny_generator):
    pipe = StyleGANPipeline(tiny_generator)
    (base,) = pipe.sample(1)
    edit = Direction("x", "w", torch.ones(32))
    assert not same(pipe.edit(base, edit), base)
    with pytest.raises(InputError, match="it has nothing that could"):
        pipe.edit(base, edit, 1.0, "mouth")


def test_edits_go_with_the_model(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "- edits: smile (-2 to 2), waves (-2 to 2), age (-2 to 2)" in card
    loaded = open_pipeline(tmp_path / "model")
    assert list(loaded.edits) == list(pipe.edits)
    a, b = (each.edit(each.sample(1)[0], "waves", 1.0) for each in (pipe, loaded))
    assert same(a, b)
    assert redo(b.save(tmp_path / "b.png"), tmp_path / "model").image.tobytes() == b.image.tobytes()


def test_another_name_or_range_is_another_model(pipe):
    edits = directions(pipe)
    renamed = [Direction("grin", "w", edits[0].vector, "mouth", (-2.0, 2.0)), *edits[1:]]
    before = pipe.model_record["revision"]
    pipe.directions = EditDirections.of(renamed, pipe.code_space)
    assert pipe.model_record["revision"] != before


def test_nothing_changed_outside_of_a_lock_although_a_parser_sees_other_borders_in_what_it_composed():
    pipe = open_pipeline("portraits")
    vector = 4 * torch.nn.functional.normalize(torch.randn(128, generator=torch.Generator().manual_seed(0)), dim=0)
    for base in pipe.sample([1, 2]):
        locked, free = (pipe.edit(base, Direction("x", "w", vector), 2.0, "hair", lock=lock) for lock in (True, False))
        assert (locked.outside.share, locked.outside.mean) == (0, 0)
        assert locked.image.tobytes() != base.image.tobytes() and free.outside.share > 0
        first, second = (pipe.region_mask(["hair"], [(each.image, each.code)]) for each in (locked, free))
        assert (first != second).any()
