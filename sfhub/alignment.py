"""Where a face picture is cut out: the square that FFHQ's recipe lays around eyes and mouth.

Karras et al., *A Style-Based Generator Architecture for Generative Adversarial Networks* (CVPR 2019), appendix A, as in
Karras et al., ICLR 2018, appendix C: the square is as wide as four eye distances or 3.6 distances from eyes to mouth,
whichever is more, turned with the face, its centre a tenth of the way from the eyes to the mouth. The built-in
portraits are framed by the same function as photographs, so that encoders and edits see one geometry.
"""

import torch
from torch import Tensor

__all__ = ["face_square"]


def face_square(left_eye: Tensor, right_eye: Tensor, mouth: Tensor) -> tuple[Tensor, Tensor]:
    """The square of FFHQ's crop around a face.

    Args:
        left_eye, right_eye: centres of the eyes `[..., 2]`, x to the right and y down, in any unit; "left" is the
            left of the picture.
        mouth: middle between the corners of the mouth, `[..., 2]`.

    Returns:
        Centre `[..., 2]` and half of the upper edge as a vector `[..., 2]`, so that the corners are
        `centre +- edge +- (-edge[1], edge[0])`.
    """
    eyes, across = (left_eye + right_eye) / 2, right_eye - left_eye
    down = mouth - eyes
    edge = across + torch.stack([down[..., 1], -down[..., 0]], dim=-1)
    half = torch.maximum(2.0 * across.norm(dim=-1), 1.8 * down.norm(dim=-1))
    return eyes + 0.1 * down, edge * (half / edge.norm(dim=-1)).unsqueeze(-1)
