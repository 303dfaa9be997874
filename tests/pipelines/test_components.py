"""Generators and parsers of other kinds take part like the package's own: mixed, segmented, saved, opened, made again.

The two here are written for this test: nothing of them is a StyleGAN2 or a portrait parser.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import ModelMixin  # noqa: F401 (diffusers loads a component only if its module has this name)
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

import sfhub
from sfhub.editing.edits import Direction
from sfhub.errors import InputError
from sfhub.models.fusion import FusionHierarchy
from sfhub.models.parser import Parser
from sfhub.models.region_tree import RegionTree
from sfhub.models.style_space import INPUT, StyleGenerator, StyleLayout, StyleSlice
from sfhub.pipelines.redo import redo
from sfhub.pipelines.semantic_stylegan import SemanticStyleGANPipeline
from sfhub.pipelines.stylegan import StyleGANPipeline
from sfhub.regions.build import build_catalog
from sfhub.regions.hub_parser import HubParser, open_parser

REGIONS = {"top": ("sky",), "bottom": ("ground",)}
TREE = RegionTree({"all": ["top", "bottom"]})


class Landscape(StyleGenerator):
    """Two bands of colour, by a generator with layer names of its own and no noise, mapping network or toRGB skips."""

    @register_to_config
    def __init__(self, resolution: int = 16, z_dim: int = 8, w_dim: int = 8, num_classes: int = 0, width: int = 4):
        super().__init__()
        self.num_ws = 2
        self.bands = nn.Parameter(torch.zeros(1, width, resolution, resolution))
        self.mix = nn.Conv2d(width, width, 1)
        self.colour = nn.Conv2d(width, 3, 1)
        self.affine = nn.Linear(w_dim, 2 * width)
        rows = [("mix", "conv", INPUT), ("colour", "to_rgb", "mix")]
        self.style_layout = StyleLayout(
            [
                StyleSlice(name, kind, k * width, (k + 1) * width, resolution, k, reads)
                for k, (name, kind, reads) in enumerate(rows)
            ]
        )

    def mapping(self, z, label=None, truncation_psi=1.0, truncation_cutoff=None):
        return (truncation_psi * z)[:, None].expand(-1, 2, -1)

    def styles(self, w_plus):
        both = self.affine(w_plus).unflatten(2, (2, -1))
        return torch.cat([both[:, 0, 0], both[:, 1, 1]], dim=1)

    def synthesis(self, s, noise_mode="const", *, generator=None, resolution=None, return_activations=()):
        styles = self.style_layout.split(s)
        x = self.bands.expand(len(s), -1, -1, -1)
        found = {INPUT: x, "mix": self.mix(x * styles["mix"][:, :, None, None])}
        image = found["colour"] = self.colour(found["mix"] * styles["colour"][:, :, None, None]).tanh()
        return (image, {name: found[name] for name in return_activations}) if return_activations else image


class Horizon(Parser):
    """Sees sky above the middle and ground below, more surely the brighter a picture is."""

    @register_to_config
    def __init__(self, class_names: tuple[str, ...] = ("sky", "ground")):
        super().__init__()
        self.sureness = nn.Parameter(torch.ones(1))

    def forward(self, image):
        height = torch.linspace(-1, 1, image.shape[-2]).to(image)[:, None].expand_as(image[:, 0])
        return SimpleNamespace(logits=self.sureness * torch.stack([-height, height], dim=1) * (image.mean() + 2))


@pytest.fixture(scope="module")
def pipe() -> StyleGANPipeline:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator, parser = Landscape().eval().requires_grad_(False), Horizon().eval().requires_grad_(False)
        generator.bands[:, :2, :8] = generator.bands[:, 2:, 8:] = 1
        generator.mix.weight.copy_(torch.eye(4)[:, :, None, None])
        generator.mix.bias.zero_()
        catalog = build_catalog(
            generator, parser, regions=REGIONS, layers=["mix"], num_clusters=2, num_images=12, pairs=8,
            refine_steps=4, progress=False,
        )  # fmt: skip
        hierarchy = FusionHierarchy.for_generator(generator, TREE, width=8, hidden_widths=[8]).eval()
    return StyleGANPipeline(generator, catalog, parser, hierarchy)


@pytest.mark.parametrize("method", ["fusion", "catalog", "contribution"])
def test_another_generator_is_mixed_by_every_method(pipe, method):
    a, b = pipe.sample([1, 2])
    mixed = pipe.mix(a, {"top": b}, method=method)
    assert not torch.equal(mixed.s, a.s) and mixed.recipe["steps"][-1]["regions"] == ["top"]


def test_another_generator_is_edited_in_w_and_s(pipe):
    a = pipe.sample(1)[0]
    for space, size in (("w", 8), ("s", pipe.generator.style_layout.size)):
        edited = pipe.edit(a, Direction("warmer", space, torch.ones(size), None, (-1.0, 1.0)), 0.5)
        assert edited.image.tobytes() != a.image.tobytes()


def test_a_catalog_of_another_generator_keeps_its_regions_apart(pipe):
    a, b = pipe.sample([1, 2])
    difference = pipe.difference(a, pipe.mix(a, {"top": b}, method="catalog"))
    assert difference[:7].mean() > 5 * difference[9:].mean()
    clusters = StyleGANPipeline(pipe.generator, pipe.catalog)
    assert np.mean(clusters.segment(clusters.sample(1)[0]).labels == pipe.segment(a).labels) > 0.9


def test_a_whole_model_of_other_kinds_is_saved_opened_and_made_again(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "model")
    opened = sfhub.open_pipeline(tmp_path / "model")
    assert (type(opened.generator), type(opened.parser)) == (Landscape, Horizon)
    a, b = opened.sample([1, 2])
    assert a.image.tobytes() == pipe.sample(1)[0].image.tobytes()
    mixed = opened.mix(a, {"bottom": b})
    path = mixed.save(tmp_path / "mixed.png")
    assert redo(path, tmp_path / "model").image.tobytes() == mixed.image.tobytes()


def test_a_generator_alone_is_a_model(pipe, tmp_path):
    pipe.generator.save_pretrained(tmp_path)
    assert isinstance(sfhub.open_pipeline(tmp_path).generator, Landscape)


def test_a_parser_is_no_generator(pipe, tmp_path):
    pipe.parser.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="holds a Horizon, but a pipeline takes a"):
        sfhub.open_pipeline(tmp_path)


@pytest.fixture(scope="module")
def segformer() -> HubParser:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = SegformerConfig(
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 8, 16, 16],
            num_attention_heads=[1, 1, 1, 1],
            decoder_hidden_size=16,
            id2label={0: "skin", 1: "hair"},
        )
        return HubParser.around(SegformerForSemanticSegmentation(config).eval(), side=32).eval()


@pytest.mark.parametrize("family", ["tiny_pipeline", "semantic_pipeline"])
def test_a_segmentation_network_from_the_hub_is_a_component(request, segformer, family, tmp_path):
    generator = request.getfixturevalue(family).generator
    family = SemanticStyleGANPipeline if family == "semantic_pipeline" else StyleGANPipeline
    family(generator, parser=segformer).save_pretrained(tmp_path)
    opened = sfhub.open_pipeline(tmp_path)
    picture = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert isinstance(opened, family) and opened.parser.config.class_names == ["skin", "hair"]
    with torch.no_grad():
        assert torch.equal(opened.parser(picture).logits, segformer(picture).logits)
    assert torch.equal(open_parser(tmp_path / "parser").segment(picture), segformer.segment(picture))
    if isinstance(opened, StyleGANPipeline):
        assert opened.segment(opened.sample(1)[0]).regions == ("skin", "hair")


def test_the_configuration_of_a_parser_fetches_no_code_and_no_weights(segformer):
    odd = {"attn_implementation": "somebody/kernel", "auto_map": {"AutoConfig": "somebody/code--module.Class"}}
    asked = segformer.config.network_config | odd | {"backbone": "somebody/weights", "use_pretrained_backbone": True}
    found = HubParser(asked, ("skin", "hair")).network.config
    assert "somebody" not in found.to_json_string() and found._attn_implementation != "somebody/kernel"


def test_a_parser_that_would_fill_the_memory_is_refused(segformer, tmp_path):
    StyleGANPipeline(Landscape(), parser=segformer).save_pretrained(tmp_path)
    path = tmp_path / "parser" / "config.json"
    path.write_text(path.read_text().replace('"side": 32', '"side": 60000'))
    with pytest.raises(InputError, match="makes 921,600,000,000 numbers at once"):
        sfhub.open_pipeline(tmp_path)


def test_a_parser_whose_configuration_names_no_network_is_one_sentence():
    with pytest.raises(InputError, match="No segmentation network can be built") as caught:
        HubParser({"model_type": "nothing"}, ("skin",))
    assert "\n" not in str(caught.value)
