"""A generator whose regions are known: one style channel paints the left half of the picture, another the right."""

from types import SimpleNamespace

import torch

from sfhub.models.stylegan2 import StyleGAN2Generator
from sfhub.regions.build import build_catalog
from sfhub.regions.catalog import RegionCatalog

REGIONS = {"left": ("west",), "right": ("east",)}


class HalvesParser:
    """Says of every picture which half a pixel lies in."""

    config = SimpleNamespace(class_names=["west", "east"])

    def segment(self, image):
        mask = torch.zeros(len(image), *image.shape[-2:], dtype=torch.uint8)
        mask[..., image.shape[-1] // 2 :] = 1
        return mask


class NeverRightParser(HalvesParser):
    """Sees the west everywhere."""

    def segment(self, image):
        return torch.zeros_like(super().segment(image))


@torch.no_grad()
def halves_generator() -> StyleGAN2Generator:
    """StyleGAN2 of 8 pixels: the constant's channel 0 is the left half and channel 1 the right.

    `conv1` hands them on, the styles of `to_rgb1` are their brightness, and the layers above only smooth the border.
    """
    torch.manual_seed(0)
    channels = {"4": 2, "8": 2}
    generator = StyleGAN2Generator(
        resolution=8, z_dim=4, w_dim=4, num_mapping_layers=1, mapping_lr_multiplier=1.0, channels=channels
    )
    generator.const.zero_()
    generator.const[0, 0, :, :2] = generator.const[0, 1, :, 2:] = 1
    generator.conv1.weight.zero_()
    generator.conv1.weight[0, 0, 1, 1] = generator.conv1.weight[1, 1, 1, 1] = 1
    generator.conv1.affine.weight.zero_()
    generator.to_rgb1.weight.fill_(0.5)
    generator.to_rgb1.affine.bias.zero_()
    generator.to_rgbs[0].weight.zero_()
    return generator.eval()


def halves_model() -> tuple[StyleGAN2Generator, RegionCatalog, HalvesParser]:
    """`halves_generator` with its catalog and parser."""
    generator, parser = halves_generator(), HalvesParser()
    catalog = build_catalog(
        generator, parser, regions=REGIONS, layers=["conv1"], num_clusters=2, num_images=8, pairs=0, progress=False
    )
    return generator, catalog, parser
