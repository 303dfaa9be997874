"""A SemanticStyleGAN whose classes are known: the background is the left half of the picture, the other the right."""

import torch

from sfhub.models.semantic_stylegan import SemanticStyleGANGenerator

DEPTH_LAYERS = 2


@torch.no_grad()
def semantic_halves_generator() -> SemanticStyleGANGenerator:
    """32 pixels, classes `west` and `east`: channel 0 of the shape layers is x, and so is the depth of `east`.

    The refined mask is the coarse mask, enlarged. All else is random.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        G = SemanticStyleGANGenerator(
            resolution=32,
            z_dim=8,
            w_dim=8,
            num_mapping_layers=1,
            mapping_lr_multiplier=1.0,
            num_classes=2,
            class_names=["west", "east"],
            coarse_resolution=16,
            min_resolution=8,
            local_layers=4,
            base_layers=1,
            depth_layers=DEPTH_LAYERS,
            local_width=8,
            feature_width=16,
            channels={"16": 16, "32": 8},
        ).eval()
    G.position_weight[0] = 0
    G.position_weight[0, 0] = 10
    local = G.local_generators
    local.weight[:DEPTH_LAYERS, 1, 0] = 0
    local.weight[:DEPTH_LAYERS, 1, 0, 0] = 1
    local.affine_weight[:DEPTH_LAYERS, 1, 0] = 0
    local.depth_weight.zero_()
    local.depth_weight[0, 0] = 200
    for head in G.render_net.to_masks:
        head.weight.zero_()
    return G
