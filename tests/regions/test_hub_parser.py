"""A SegFormer as the parser, tiny and with random weights, saved and loaded the way the Hub has them."""

import json

import pytest
import torch
from torch.nn.functional import interpolate
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from sfhub.errors import InputError
from sfhub.regions.build import build_catalog
from sfhub.regions.hub_parser import HubParser
from sfhub.regions.naming import FACE_REGIONS, PORTRAIT_REGIONS, regions_for
from sfhub.regions.soft import soft_regions

CLASSES = ("background", "skin", "hair")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = SegformerConfig(
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 8, 16, 16],
            num_attention_heads=[1, 1, 1, 1],
            decoder_hidden_size=16,
            id2label=dict(enumerate(CLASSES)),
        )
        return SegformerForSemanticSegmentation(config).eval()


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("segformer")
    network.save_pretrained(folder)
    size = {"height": 64, "width": 64}
    wanted = {"image_processor_type": "SegformerImageProcessor", "size": size, "image_mean": MEAN, "image_std": STD}
    (folder / "preprocessor_config.json").write_text(json.dumps(wanted))
    return folder


@pytest.fixture(scope="module")
def parser(folder):
    return HubParser.from_pretrained(folder)


def images():
    return torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_names_of_the_classes_come_with_the_model(parser):
    assert parser.config.class_names == CLASSES


def test_images_reach_the_network_as_its_repository_says(parser, network):
    x = interpolate((images() + 1) / 2, size=(64, 64), mode="bilinear", antialias=True)
    x = (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        wanted = interpolate(network(pixel_values=x).logits, size=(96, 96), mode="bilinear")
        found = parser(images()).logits
    assert torch.allclose(found, wanted, atol=1e-5)


def test_masks_are_class_numbers_at_the_size_of_the_images(parser):
    mask = parser.segment(images())
    assert mask.shape == (2, 96, 96)
    assert mask.max() < len(CLASSES)
    assert torch.equal(mask[:1], parser.segment(images()[:1]))


def test_it_names_the_clusters_of_a_generator_and_gives_soft_masks(parser, tiny_generator):
    catalog = build_catalog(
        tiny_generator,
        parser,
        regions=regions_for(parser.config.class_names),
        clustering="ward",
        num_clusters=4,
        num_images=4,
        influence_images=0,
        pairs=0,
        progress=False,
    )
    assert catalog.regions == CLASSES
    masks = soft_regions(catalog, images(), {}, parser)
    assert torch.allclose(masks.sum(dim=1), torch.ones(2, 96, 96), atol=1e-5)


def test_known_sets_of_classes_make_up_the_regions_that_people_mix():
    assert regions_for([name for names in PORTRAIT_REGIONS.values() for name in names]) is PORTRAIT_REGIONS
    assert regions_for([name for names in FACE_REGIONS.values() for name in names]) is FACE_REGIONS
    assert regions_for(["road", "sky"]) == {"road": ("road",), "sky": ("sky",)}


def test_a_folder_without_a_segmentation_model_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError, match=r"could not be loaded .*; give the Hub id or folder"):
        HubParser.from_pretrained(tmp_path)


def test_weights_in_a_pickle_are_not_read(folder, network, tmp_path):
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text((folder / name).read_text())
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        HubParser.from_pretrained(tmp_path)
