"""Training a mapper brings pictures nearer to its text, and its edit is one like any other."""

import pytest
import torch

from sfhub.errors import InputError
from sfhub.models.latent_mapper import LatentMapper
from sfhub.steps.code import Code
from sfhub.text.mapper_edit import MapperEdit
from sfhub.training.latent_mapper import MapperTraining, mapper_groups, train_mapper


@pytest.fixture(scope="module")
def trained(request, tmp_path_factory):
    pipe = request.getfixturevalue("tiny_pipeline")
    encoder = request.getfixturevalue("tiny_encoder")
    z = torch.randn(8, pipe.generator.config.z_dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        w_plus = pipe.generator.mapping(z)
    folder, records = tmp_path_factory.mktemp("mapper"), []

    def render(codes, displacement):
        return pipe.shown(pipe.generator.styles(codes + displacement))

    train_mapper(
        MapperTraining(steps=30, l2=0.0, log_every=5), "sad", w_plus, render, encoder, folder, callback=records.append
    )
    return LatentMapper.from_pretrained(folder), pipe, records


def test_pictures_come_nearer_to_the_text(trained):
    _, _, records = trained
    assert records[-1]["text"] < records[0]["text"]


def test_its_edit_is_constrained_and_scaled_like_any_other(trained):
    mapper, pipe, _ = trained
    edit = MapperEdit(mapper, region="hair")
    assert edit.name == "sad"
    (base,) = pipe.sample([1])
    locked = pipe.edit(base, edit, 1.0, lock=True)
    assert locked.outside.share == 0 and locked.recipe["steps"][-1]["regions"] == ["hair"]
    assert torch.equal(pipe.edit(base, edit, 0.0).s, base.s)
    assert pipe.redo(locked.recipe, edits=[edit]).image.tobytes() == locked.image.tobytes()
    with pytest.raises(InputError, match="W\\+ is not known"):
        edit.apply(pipe.code_space, Code(base.s), 1.0)


def test_without_the_fine_group_fine_layers_stay():
    assert mapper_groups(18) == {"coarse": (0, 4), "medium": (4, 8), "fine": (8, None)}
    groups = mapper_groups(12, colours=False)
    assert groups == {"coarse": (0, 3), "medium": (3, 5)}
    mapper = LatentMapper(w_dim=8, groups=groups, normalize="channels")
    assert not mapper(torch.randn(1, 12, 8))[:, 5:].any()


def test_a_mapper_of_another_generator_is_refused(semantic_pipeline):
    with pytest.raises(InputError, match="trained for another generator"):
        MapperEdit(LatentMapper(w_dim=64)).check(semantic_pipeline.code_space)
