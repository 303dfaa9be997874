"""Style Intervention: coefficients in [0, 1], found layer by layer, leave what is outside the mask alone."""

import pytest
import torch

from sfhub.editing.directions import EditDirections
from sfhub.editing.edits import Direction
from sfhub.editing.intervention import InterventionSettings, intervene
from sfhub.errors import InputError
from sfhub.pipelines.redo import redo


def toy():
    """A picture whose left half is made by channels 0 to 3 and whose right half by 4 to 7."""
    left = torch.zeros(8, 8)
    left[:, :4] = 1

    def synthesis(s):
        value = s[:, :4].sum() * left + s[:, 4:].sum() * (1 - left)
        return value.expand(1, 3, 8, 8)

    return synthesis, left.bool()


def test_channels_that_change_what_is_outside_are_taken_from_the_sparse_normal():
    synthesis, left = toy()
    ds_z = torch.full((8,), 0.5)
    ds_n = torch.tensor([1.0, 0, 0, 0, 0, 0, 0, 0])
    layers = [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]
    found = intervene(synthesis, torch.zeros(1, 8), ds_z, ds_n, left, layers)
    assert (found.coefficients >= 0).all() and (found.coefficients <= 1).all()
    torch.testing.assert_close(found.coefficients[4:], torch.ones(4))  # the right half is to stay
    assert found.merged[:4].sum() > 0.5
    length = ds_z.norm()
    torch.testing.assert_close(found.merged, (1 - found.coefficients) * ds_z + found.coefficients * ds_n * length)
    torch.testing.assert_close(found.normal, found.coefficients * ds_n * length)
    assert len(found.outside) == 5 and found.outside[-1] < 1e-6 < found.outside[0]
    assert all(after <= before + 1e-9 for before, after in zip(found.outside, found.outside[1:], strict=False))


def test_layers_are_solved_in_their_order_and_solving_can_be_ended():
    synthesis, left = toy()
    seen = []

    def on_layer(number, image):
        seen.append((number, tuple(image.shape)))
        return number < 1

    layers = [slice(4, 6), slice(6, 8), slice(0, 4)]
    found = intervene(synthesis, torch.zeros(1, 8), torch.ones(8), torch.eye(8)[0], left, layers, on_layer=on_layer)
    assert seen == [(0, (3, 8, 8)), (1, (3, 8, 8))]
    assert not found.coefficients[:4].any() and found.coefficients[4:].all()


def test_nothing_to_merge_and_nothing_to_keep_are_refused():
    synthesis, left = toy()
    s, one = torch.zeros(1, 8), torch.ones(8)
    with pytest.raises(InputError, match="zero everywhere"):
        intervene(synthesis, s, torch.zeros(8), one, left, [slice(0, 8)])
    with pytest.raises(InputError, match="covers the whole picture"):
        intervene(synthesis, s, one, one, torch.ones(8, 8, dtype=torch.bool), [slice(0, 8)])


@pytest.fixture
def given(tiny_pipeline):
    space, draw = tiny_pipeline.code_space, torch.Generator().manual_seed(0)
    sparse = torch.randn(space.size, generator=draw) * (torch.rand(space.size, generator=draw) > 0.9)
    return Direction("smile", "z", torch.randn(space.z_dim, generator=draw), "hair"), Direction("smile", "s", sparse)


def test_an_intervention_is_an_edit_that_keeps_to_its_region_by_itself(tiny_pipeline, given, tmp_path):
    pipe, (edit, normal) = tiny_pipeline, given
    (base,) = pipe.sample(1)
    shown = pipe.segment(base)
    region = max(shown.regions, key=lambda name: (shown.labels == shown.regions.index(name)).sum())
    pictures = []
    settings = InterventionSettings(steps=3)
    found = pipe.intervention(
        base, edit, normal, region, settings=settings, on_layer=lambda n, image: pictures.append(image) or True
    )
    assert len(pictures) == len(pipe.generator.style_layout) and pictures[0].size == (32, 32)
    errors = found.about["outside"]
    assert errors[-1] < errors[0]
    assert (found.region, found.keeps_to_region) == ((region,), True)

    solved = pipe.edit(base, found)
    assert solved.recipe["steps"][-1]["constraint"] == "itself"
    torch.testing.assert_close(solved.s, base.s + found.vector)
    torch.testing.assert_close(pipe.edit(base, found, 3.0).s, base.s + found.vector + 2 * found.beyond)
    assert pipe.edit(base, found, 0.0).image.tobytes() == base.image.tobytes()
    locked = pipe.intervene(base, edit, normal, region=region, settings=settings, lock=True)
    assert locked.outside.share == 0
    path = solved.save(tmp_path / "a.png")
    assert redo(path, pipe, edits=[found]).image.tobytes() == solved.image.tobytes()
    # It can be shared, and put on other pictures.
    EditDirections.of([found], pipe.code_space).save_pretrained(tmp_path / "shared")
    shared = dict(EditDirections.from_pretrained(tmp_path / "shared").items())[found.name]
    assert shared.digest() == found.digest()
    other = pipe.sample(2)[0]
    assert pipe.edit(other, shared).image.tobytes() != other.image.tobytes()
    with pytest.raises(InputError, match="does not keep to a region by itself"):
        pipe.edit(base, edit, 1.0, region, method="itself")


def test_a_model_without_style_channels_says_so(semantic_pipeline, given):
    with pytest.raises(InputError, match="weighs the style channels of a StyleGAN2"):
        semantic_pipeline.intervention(semantic_pipeline.sample(1)[0], *given)
