"""The thirteen semantic classes of a portrait.

They are CelebAMask-HQ's labels as SemanticStyleGAN remaps them (Shi et al., CVPR 2022).
"""

import torch

CLASSES: tuple[str, ...] = (
    "background",
    "skin",
    "eyes",
    "brows",
    "mouth",
    "nose",
    "ears",
    "hair",
    "neck",
    "clothes",
    "glasses",
    "hat",
    "earrings",
)
"""Class names; the position is the label in a mask."""

PALETTE: torch.Tensor = torch.tensor(
    [
        [226, 229, 234],
        [242, 178, 140],
        [60, 120, 216],
        [120, 78, 46],
        [214, 60, 86],
        [250, 205, 90],
        [232, 140, 190],
        [88, 52, 120],
        [196, 150, 110],
        [58, 158, 120],
        [40, 46, 60],
        [236, 112, 50],
        [120, 214, 226],
    ],
    dtype=torch.uint8,
)
"""One RGB colour per class, uint8 `[13, 3]`, for overlays."""
