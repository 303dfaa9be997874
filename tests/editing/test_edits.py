"""Edits are arithmetic on codes: exact in every space, nothing at strength 0, and refused where they do not fit."""

import pytest
import torch

from sfhub.editing.directions import EditDirections
from sfhub.editing.edits import Coordinate, Direction, find_edit
from sfhub.editing.spaces import Latent, code_space
from sfhub.errors import InputError
from sfhub.steps.code import Code


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def space(tiny_generator):
    return code_space(tiny_generator)


@pytest.fixture
def code(tiny_generator):
    z = draw(1, 32)
    w_plus = tiny_generator.mapping(z)
    return Code(tiny_generator.styles(w_plus), w_plus, Latent(z))


@torch.no_grad()
def test_a_direction_in_w_is_a_displacement_in_s_by_the_affine_layers(tiny_generator, space, code):
    vector = draw(32, seed=1)
    edited = Direction("x", "w", vector).apply(space, code, 2.0)
    torch.testing.assert_close(edited.w_plus, code.w_plus + 2 * vector)
    torch.testing.assert_close(edited.s, tiny_generator.styles(code.w_plus + 2 * vector))
    # So a code of which nothing but S is known moves by the same.
    mixed = Code(draw(1, space.size, seed=2))
    moved = Direction("x", "w", vector).apply(space, mixed, 2.0)
    torch.testing.assert_close(moved.s - mixed.s, edited.s - code.s)
    assert moved.w_plus is None


@torch.no_grad()
def test_only_the_layers_that_are_named_move(tiny_generator, space, code):
    edited = Direction("x", "w", draw(32, seed=1), layers=(2, 3)).apply(space, code, 1.0)
    moved = [k for k in range(space.num_ws) if not torch.equal(edited.w_plus[:, k], code.w_plus[:, k])]
    assert moved == [2, 3]
    layers = {entry.w_index for entry in tiny_generator.style_layout if _moved(entry, code, edited)}
    assert layers == {2, 3}


def _moved(entry, code, edited):
    part = slice(entry.start, entry.stop)
    return not torch.equal(code.s[:, part], edited.s[:, part])


@torch.no_grad()
@pytest.mark.parametrize("name", ["z", "w", "w+", "s"])
def test_strength_0_is_the_code_itself_and_strengths_add_up_where_the_space_is_linear(space, code, name):
    shapes = {"z": (32,), "w": (32,), "w+": (space.num_ws, 32), "s": (space.size,)}
    edit = Direction("x", name, draw(*shapes[name], seed=3))
    assert edit.apply(space, code, 0) is code
    there = edit.apply(space, code, 1.5)
    back = edit.apply(space, there, -1.5)
    assert not torch.equal(there.s, code.s)
    torch.testing.assert_close(back.s, code.s, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_an_edit_in_z_is_what_the_mapping_network_makes_of_the_moved_latent(tiny_generator, space, code):
    vector = draw(32, seed=4)
    edited = Direction("x", "z", vector).apply(space, code, 0.5)
    w_plus = tiny_generator.mapping(code.latent.z + 0.5 * vector)
    torch.testing.assert_close(edited.w_plus, w_plus)
    torch.testing.assert_close(edited.s, tiny_generator.styles(w_plus))
    torch.testing.assert_close(edited.latent.z, code.latent.z + 0.5 * vector)
    with pytest.raises(InputError, match="works in Z, but this picture has no latent"):
        Direction("x", "z", vector).apply(space, Code(code.s), 0.5)


@torch.no_grad()
def test_an_edit_to_a_coordinate_arrives_there_from_everywhere(space, code):
    vector = torch.nn.functional.normalize(draw(32, seed=5), dim=0)
    edit = Direction("x", "w", vector, coordinate=Coordinate(target=2.0, mean=0.3, std=0.5))
    for t, expected in ((1.0, 1.3), (0.5, (1.3 + float(code.w_plus[0, 0] @ vector)) / 2)):
        assert float(edit.apply(space, code, t).w_plus[0, 0] @ vector) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match="where this picture lies in W is not known"):
        edit.apply(space, Code(code.s), 1.0)


def test_a_strength_outside_the_range_is_clamped_and_said(caplog):
    edit = Direction("smile", "w", torch.ones(4), range=(-1.0, 2.5))
    assert edit.clamped(2) == 2 and not caplog.messages
    assert edit.clamped(9) == 2.5
    assert caplog.messages == ["'smile' works from -1 to 2.5 on this model; strength 9 was taken as 2.5."]
    for wrong in (float("nan"), float("inf"), "much", None, True):
        with pytest.raises(InputError, match="give a finite number"):
            edit.clamped(wrong)


def test_what_cannot_be_an_edit_is_refused(space):
    with pytest.raises(InputError, match="in space 'v'; choose one of z, w, w\\+, s"):
        Direction("x", "v", torch.ones(4))
    with pytest.raises(InputError, match="not finite"):
        Direction("x", "w", torch.tensor([1.0, float("nan")]))
    with pytest.raises(InputError, match="give two numbers around 0"):
        Direction("x", "w", torch.ones(4), range=(1.0, 2.0))
    with pytest.raises(InputError, match=r"direction of shape \[512\] in space w, .* of 32 pixels takes \[32\]"):
        Direction("x", "w", torch.ones(512)).check(space)
    with pytest.raises(InputError, match="moves layer 17 of W\\+, but this generator has 8"):
        Direction("x", "w", torch.ones(32), layers=(0, 17)).check(space)


def test_the_nearest_names_are_suggested():
    edits = {name: Direction(name, "w", torch.ones(2)) for name in ("smile", "small eyes", "age")}
    assert find_edit(edits, "age") is edits["age"]
    with pytest.raises(InputError, match="no edit 'smiel' in this model: did you mean 'smile'"):
        find_edit(edits, "smiel")
    with pytest.raises(InputError, match="this model has none"):
        find_edit({}, "smile")


def test_a_component_of_directions_is_saved_and_loaded(tmp_path, space, semantic_generator):
    edits = [
        Direction("in z", "z", draw(32), range=(-1.0, 1.0)),
        Direction(
            "in w", "w", draw(32), ("mouth", "face"), (-2.0, 1.0), (1, 2), Coordinate(1.0, 0.5, 2.0), {"by": "me"}
        ),
        Direction("in w+", "w+", draw(8, 32), "hair"),
        Direction("in s", "s", draw(space.size)),
    ]
    made = EditDirections.of(edits, space)
    made.save_pretrained(tmp_path)
    found = dict(EditDirections.from_pretrained(tmp_path).items())
    assert list(found) == [edit.name for edit in edits]
    for edit in edits:
        assert found[edit.name].record() == edit.record()
        assert found[edit.name].digest() == edit.digest()
        torch.testing.assert_close(found[edit.name].vector, edit.vector)
    assert len({edit.digest() for edit in edits}) == 4
    with pytest.raises(InputError, match="do not fit one of 32 pixels with 28 of 16"):
        made.check_space(code_space(semantic_generator))
    with pytest.raises(InputError, match="Two edits are called 'in z'"):
        EditDirections.of([edits[0], edits[0]], space)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"name": ""}, "no name"),
        ({"name": "a\nb"}, "no name"),
        ({"space": "v"}, "a space"),
        ({"region": ["hair", 3]}, "a region"),
        ({"range": [0, "much"]}, "a range"),
        ({"range": [float("nan"), 1]}, "a range"),
        ({"layers": [0, 99]}, "a layers"),
        ({"layers": [True]}, "a layers"),
        ({"coordinate": [1, 2]}, "a coordinate"),
        ({"about": 3}, "a about"),
    ],
)
def test_a_configuration_from_anywhere_is_checked(space, changes, wrong):
    record = Direction("smile", "w", draw(32), "mouth").record() | changes
    settings = {"z_dim": 32, "w_dim": 32, "num_ws": space.num_ws, "layers": space.layers, "resolution": 32}
    with pytest.raises(InputError, match=wrong):
        EditDirections(edits=[record], **settings)
