"""Steps are types: each writes and reads itself, says which models it suits, and a new kind takes one class."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

import sfhub
from sfhub.errors import InputError
from sfhub.pipelines.redo import redo
from sfhub.steps.assets import Asset
from sfhub.steps.checks import is_number, need
from sfhub.steps.code import Code
from sfhub.steps.compose import ComposeStep
from sfhub.steps.grid import GridStep
from sfhub.steps.interpolate import InterpolateStyles
from sfhub.steps.interpolate_semantic import InterpolateSemantic
from sfhub.steps.mix_by_catalog import MixByCatalog
from sfhub.steps.mix_by_fusion import MixByFusion
from sfhub.steps.mix_by_semantic import MixBySemantic
from sfhub.steps.png import read_recipe
from sfhub.steps.recipe import assets_of, read_steps
from sfhub.steps.registry import STEPS, step_from_json
from sfhub.steps.sample import SampleStep
from sfhub.steps.step import Step

PHOTOGRAPH = Asset.of(Image.new("RGB", (4, 3), "red"))


@dataclass(frozen=True)
class Exaggerate(Step):
    """What tells a picture from the average one, some times as strong."""

    OP: ClassVar[str] = "exaggerate"
    INPUTS: ClassVar[str] = "one picture"

    times: float

    @classmethod
    def from_json(cls, data, where):
        times = data.get("times")
        need(is_number(times, 0, 4), f"times of {where}", times, "a number from 0 to 4")
        return cls(times)

    def takes(self, count):
        return count == 1

    def code(self, model, inputs, assets):
        average = model.sampled(model.latent(0), 0.0, None)
        return inputs[0].with_s(average.s + self.times * (inputs[0].s - average.s))


@pytest.mark.parametrize("model", ["tiny_pipeline", "semantic_pipeline"])
def test_a_new_kind_of_step_is_one_class_and_one_line_in_the_registry(request, monkeypatch, tmp_path, model):
    pipe = request.getfixturevalue(model)
    a, b = pipe.sample([1, 2])
    made = pipe.render(Exaggerate(1.5), a)
    assert not np.array_equal(np.asarray(made.image), np.asarray(a.image))
    with pytest.raises(InputError, match="op sample, mix, interpolate, grid, compose"):
        read_recipe(made.save(tmp_path / "a.png"))

    monkeypatch.setattr("sfhub.steps.registry.STEPS", [*STEPS, Exaggerate])

    assert [each.image.tobytes() for each in pipe.render(Exaggerate(1.5), [b, a])][1] == made.image.tobytes()
    mixed = pipe.mix(b, {"hair": made}, 0.5)
    for number, picture in enumerate([made, mixed, pipe.render(Exaggerate(0.5), mixed), pipe.grid([made, a])]):
        path = picture.save(tmp_path / f"{number}.png")
        again = redo(path, pipe)
        assert again.image.tobytes() == picture.image.tobytes()
        assert again.recipe == picture.recipe == read_recipe(path)
    assert made.recipe["steps"][-1] == {"op": "exaggerate", "inputs": [0], "times": 1.5}
    made.recipe["steps"][-1]["times"] = "much"
    with pytest.raises(InputError, match="times of step 1 is 'much' where a number from 0 to 4 is expected"):
        redo(made.save(tmp_path / "damaged.png"), pipe)
    with pytest.raises(InputError, match="2 pictures do not go into the step 'exaggerate', which takes one picture"):
        pipe.render(Exaggerate(1.0), a, b)


@pytest.mark.parametrize(
    ("step", "inputs"),
    [
        (SampleStep(7, 0.7), 0),
        (SampleStep(7, -1.5, 3), 0),
        (GridStep(3), 5),
        (InterpolateStyles(position=0.5), 2),
        (InterpolateStyles(("hair",), {"method": "influence", "threshold": 0.5}, 0.25), 2),
        (InterpolateSemantic(("hair", "hat"), "shape", 1), 2),
        (MixByCatalog(("hair", "face"), (1, 0.5)), 3),
        (MixByFusion(("hair",), (0.5, 0.25), True), 3),
        (MixByFusion((), (1.0,), True), 2),
        (MixBySemantic(("hair", "hair"), ("shape", "texture"), (1, 1, 0.5), True), 4),
        (ComposeStep(("hat",), {"hair": (0.5, -1)}, {"face": 2}), 2),
        (ComposeStep((), {}, {}, PHOTOGRAPH), 1),
    ],
)
def test_a_step_reads_what_it_writes(step, inputs):
    written = json.loads(json.dumps({"op": step.OP, "inputs": list(range(inputs))} | step.to_json()))
    assert step_from_json(written, "step 9") == step
    assert list(written)[:2] == ["op", "inputs"]
    with pytest.raises(InputError, match=r"step 9 is \['colour'\] where nothing but op, inputs"):
        step_from_json({**written, "colour": 1}, "step 9")
    if not isinstance(step, GridStep | ComposeStep):
        with pytest.raises(InputError, match="inputs of step 9"):
            step_from_json({**written, "inputs": list(range(inputs + 1))}, "step 9")


def test_only_the_registry_asks_what_kind_a_step_is():
    root = Path(sfhub.__file__).parent
    asking = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if '["op"]' in path.read_text() or 'get("op")' in path.read_text()
    }
    assert asking == {"steps/registry.py"}


def test_a_step_refuses_models_of_another_family(tiny_pipeline, semantic_pipeline):
    with pytest.raises(InputError, match="mixed by a SemanticStyleGAN, but this model is a StyleGAN"):
        ComposeStep((), {}, {}).check_model(tiny_pipeline)
    with pytest.raises(InputError, match="mixed by a StyleGAN, but this model is a SemanticStyleGAN"):
        MixByFusion(("hair",), (1,)).check_model(semantic_pipeline)
    SampleStep(1, 0.7).check_model(semantic_pipeline)


# Codes ---------------------------------------------------------------------------------------------------------------


def test_a_sample_knows_the_w_plus_that_its_styles_come_from(fusion_pipeline):
    a, b = fusion_pipeline.sample([1, 2])
    assert torch.equal(fusion_pipeline.generator.styles(a.w_plus), a.s)
    for mixed in (fusion_pipeline.mix(a, {"hair": b}), fusion_pipeline.mix(a, {"hair": b}, method="catalog")):
        assert torch.equal(mixed.w_plus, a.w_plus)
        # A direction in W moves the mix as far as it moves the base: the layers between W and S are affine.
        direction = torch.randn(1, 1, 32, generator=torch.Generator().manual_seed(0))
        styles = fusion_pipeline.generator.styles
        torch.testing.assert_close(
            styles(mixed.w_plus + direction) - styles(mixed.w_plus), styles(a.w_plus + direction) - a.s
        )
    halfway = fusion_pipeline.interpolate(a, b, 3)[1]
    torch.testing.assert_close(fusion_pipeline.generator.styles(halfway.w_plus), halfway.s)


def test_a_code_without_w_plus_can_be_mixed_and_stays_without(tiny_pipeline):
    a, b = tiny_pipeline.sample([1, 2])
    step = MixByCatalog(("hair",), (0.5,))
    mixed = step.code(tiny_pipeline, [Code(a.s), b.code], {})
    assert mixed.w_plus is None and torch.equal(mixed.s, tiny_pipeline.mix(a, {"hair": b}, 0.5).s)
    assert InterpolateStyles(position=0.5).code(tiny_pipeline, [Code(a.s), b.code], {}).w_plus is None


def test_made_again_a_picture_has_its_w_plus(fusion_pipeline):
    a, b = fusion_pipeline.sample([1, 2])
    mixed = fusion_pipeline.mix(a, {"face": b})
    assert torch.equal(fusion_pipeline.redo(mixed.recipe).w_plus, a.w_plus)
    assert mixed.on_cpu().w_plus.device.type == "cpu"


# Files ---------------------------------------------------------------------------------------------------------------


def test_a_recipe_names_the_files_that_it_does_not_hold(semantic_pipeline):
    photograph = Image.new("RGB", (5, 4), "green")
    a = semantic_pipeline.sample(1)[0]
    assert assets_of(read_steps(a.recipe)) == []
    composed = semantic_pipeline.compose(a, background=photograph)
    assert assets_of(read_steps(composed.recipe)) == [Asset.of(photograph)]
    assert Asset.of(photograph) != Asset.of(photograph.resize((4, 5)))
