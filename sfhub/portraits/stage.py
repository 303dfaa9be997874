"""What all layers of a portrait share: coordinates, the turned head, light, colours and the geometry of face and hair.

Picture coordinates run over [-1, 1], x to the right and y down. A portrait is framed as FFHQ frames a face
(`sfhub.alignment`): the square is laid around eyes and mouth of the average face, turned as this head is. What makes a
face differ from the average, and a small shift, roll and difference in size, is the spread that alignment leaves.
Head coordinates have their origin between the eyes; a feature at `u` on the frontal face sits on an ellipsoid and goes
to `x = u cos(yaw) + z(u) sin(yaw)`, and its width shrinks by `dx/du`.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sfhub.alignment import face_square
from sfhub.portraits.attributes import ATTRIBUTES
from sfhub.portraits.classes import CLASSES
from sfhub.portraits.shapes import Canvas, blob, ellipse, smooth_max, step

LABEL = {name: label for label, name in enumerate(CLASSES)}

_HEAD_DEPTH = 0.33
_HALF_WIDTH = 0.44

EYE_PLACE = 0.200
"""Half the distance of the eyes on the average frontal face, in head units."""

MOUTH_PLACE = 0.385
"""Height of the corners of the mouth below the eyes, in head units."""

MOUTH_LIFT = 0.06
"""How far the mouth stands out of the ellipsoid of the head."""

_SKIN_TONES = [
    (0.985, 0.865, 0.785),
    (0.955, 0.785, 0.670),
    (0.880, 0.665, 0.515),
    (0.730, 0.500, 0.355),
    (0.545, 0.350, 0.240),
    (0.375, 0.235, 0.165),
]

# Height above the skull, width beside it, y where it ends, half width there, share of the face that stays free, y
# where the part in front of the face ends, amplitude of bumps at the edge, amount of curls.
_HAIR_STYLES = {
    "bald": (0.0, 0.0, 0.0, 0.40, 1.00, -0.05, 0.0, 0.0),
    "buzz": (0.02, 0.012, 0.12, 0.40, 0.95, 0.02, 0.0, 0.25),
    "short": (0.10, 0.035, 0.16, 0.40, 0.94, 0.07, 0.004, 0.0),
    "side-swept": (0.14, 0.045, 0.16, 0.40, 0.94, 0.07, 0.004, 0.0),
    "bob": (0.09, 0.10, 0.42, 0.55, 0.84, 0.40, 0.0, 0.0),
    "long straight": (0.08, 0.07, 0.74, 0.56, 0.83, 0.70, 0.0, 0.0),
    "long wavy": (0.10, 0.10, 0.74, 0.64, 0.85, 0.70, 0.03, 0.0),
    "curly": (0.15, 0.14, 0.52, 0.62, 0.88, 0.45, 0.022, 0.8),
    "afro": (0.21, 0.24, 0.24, 0.62, 0.95, 0.12, 0.01, 1.0),
    "bun": (0.06, 0.025, 0.12, 0.38, 0.94, 0.03, 0.0, 0.0),
    "ponytail": (0.07, 0.03, 0.14, 0.38, 0.94, 0.05, 0.0, 0.0),
}


def _code(attribute: str, choice: str) -> int:
    return ATTRIBUTES[attribute].choices.index(choice)


@dataclass
class Stage:
    """Attributes of one chunk as `[B, 1, 1]`, the pixel planes `[B, H, W]` in picture coordinates, and the canvas."""

    values: dict[str, Tensor]
    x: Tensor
    y: Tensor
    canvas: Canvas

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]

    def is_choice(self, attribute: str, *choices: str) -> Tensor:
        """1.0 where a categorical attribute is one of the choices, `[B, 1, 1]` float."""
        codes = torch.tensor([_code(attribute, choice) for choice in choices], device=self.x.device)
        return (self.values[attribute] == codes.view(1, 1, -1)).any(dim=2, keepdim=True).float()

    def colour(self, name: str) -> Tensor:
        """The colour attribute `name` as `[B, 3, 1, 1]`."""
        return torch.stack([self.values[f"{name}_{part}"] for part in ("red", "green", "blue")], dim=1)

    @cached_property
    def sin(self) -> Tensor:
        return torch.sin(self["yaw"] * (math.pi / 180))

    @cached_property
    def cos(self) -> Tensor:
        return torch.cos(self["yaw"] * (math.pi / 180))

    @cached_property
    def frame(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Centre of the picture in head coordinates (x, y) and half of its upper edge (x, y), each `[B, 1, 1]`."""
        eyes = [torch.cat(_turned(side * EYE_PLACE, 0.0, 0.0, self.sin, self.cos), dim=-1) for side in (-1, 1)]
        mouth = torch.cat(_turned(0.0, MOUTH_PLACE, MOUTH_LIFT, self.sin, self.cos), dim=-1)
        centre, edge = face_square(*eyes, mouth)
        return (*centre.split(1, dim=-1), *edge.split(1, dim=-1))

    @cached_property
    def upright(self) -> tuple[Tensor, Tensor]:
        """Head coordinates of every pixel before the head's own roll: those of neck and body."""
        centre_x, centre_y, edge_x, edge_y = self.frame
        size = 1 - 0.06 * self["head_size"]
        x, y = (self.x - 0.06 * self["head_x"]) * size, self.y * size
        return centre_x + edge_x * x - edge_y * y, centre_y + edge_y * x + edge_x * y

    @cached_property
    def head(self) -> tuple[Tensor, Tensor]:
        """Head coordinates of every pixel; the head is rolled about the middle of the face."""
        angle = self["tilt"] * (math.pi / 180)
        sin, cos = torch.sin(angle), torch.cos(angle)
        centre_x, centre_y = self.frame[:2]
        dx, dy = self.upright[0] - centre_x, self.upright[1] - centre_y
        return centre_x + cos * dx + sin * dy, centre_y + cos * dy - sin * dx

    @cached_property
    def body(self) -> tuple[Tensor, Tensor]:
        """Coordinates of neck and clothes at every pixel, x from the middle of the neck."""
        x, y = self.upright
        return 1.13 * x, 1.13 * y - 0.165

    def place(self, u: Tensor | float, lift: float = 0.0) -> tuple[Tensor, Tensor]:
        """Where a feature at `u` of the frontal face sits on the turned head, and the factor of its width."""
        u = torch.as_tensor(u, device=self.x.device)
        z = _HEAD_DEPTH * (1 - (u / self.half_width).square()).clamp(min=0.05).sqrt()
        slope = -u / z * (_HEAD_DEPTH / self.half_width).square()
        return u * self.cos + (z + lift) * self.sin, (self.cos + slope * self.sin).clamp(0.45, 1.15)

    @cached_property
    def light(self) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vector towards the light."""
        x, y = 0.75 * self["light_x"], -0.45 + 0.55 * self["light_y"]
        norm = (x * x + y * y + 0.75**2).sqrt()
        return x / norm, y / norm, 0.75 / norm

    def lambert(self, normal_x: Tensor, normal_y: Tensor) -> Tensor:
        """Cosine between the light and the normal of a rounded body whose x and y components are given."""
        flat = normal_x.square() + normal_y.square()
        normal_z = flat.mul_(-0.85).add_(1).clamp_(min=0.05).sqrt_()
        light_x, light_y, light_z = self.light
        return normal_z.mul_(light_z).add_(normal_x * light_x).add_(normal_y * light_y)

    @cached_property
    def skin(self) -> Tensor:
        """Colour of the skin, `[B, 3, 1, 1]`."""
        table = self.x.new_tensor(_SKIN_TONES)
        position = self["skin_tone"].flatten().clamp(0, 1) * (len(table) - 1)
        lower = position.floor().clamp(max=len(table) - 2).long()
        tone = torch.lerp(table[lower], table[lower + 1], (position - lower)[:, None])
        return tone[:, :, None, None]

    @cached_property
    def half_width(self) -> Tensor:
        return _HALF_WIDTH * (1 + 0.12 * self["face_width"])

    @cached_property
    def chin(self) -> Tensor:
        return 0.59 * (1 + 0.09 * self["face_length"])

    @cached_property
    def face(self) -> tuple[Tensor, Tensor, Tensor]:
        """Signed distance of the head's outline, and the x and y components of its normals."""
        x, y = self.head
        radius_y = torch.where(y > 0, self.chin, torch.full_like(self.chin, 0.53))
        v = y / radius_y
        taper = (0.19 - 0.18 * self["jaw"]) * v.clamp(min=0).square()
        u = (x - self.sin * (0.02 + 0.15 * v.clamp(-0.4, 1))) / (self.half_width * (1 - taper))
        power = 2.3 + 0.40 * self["jaw"]
        k = (u.abs().clamp_(min=1e-4).pow(power) + v.abs().clamp_(min=1e-4).pow(power)).pow(1 / power)
        return (k - 1) * 0.47, u, v

    def hair_style(self, column: int) -> Tensor:
        table = self.x.new_tensor(list(_HAIR_STYLES.values()))
        return table[self["hair_style"].flatten().long(), column][:, None, None]

    @cached_property
    def hat_line(self) -> Tensor:
        """y below which a hat lets hair out; far above the head without a hat."""
        worn = 1 - self.is_choice("hat", "none")
        return torch.where(worn > 0, torch.full_like(worn, -0.27), torch.full_like(worn, -3.0))

    @cached_property
    def hair_outline(self) -> Tensor:
        """Signed distance of the mass of hair seen from the front, face included."""
        x, y = self.head
        volume, grown = 1 + 0.45 * self["hair_volume"], 0.03 * self["hair_volume"] * (self.hair_style(0) > 0.05)
        top, side = self.hair_style(0) * volume + grown, self.hair_style(1) * volume + 0.6 * grown
        swept = self.is_choice("hair_style", "side-swept")
        bottom = self.hair_style(2)
        bottom = bottom + 0.17 * self["hair_length"] * (bottom > 0.3)
        x = x + 0.05 * self.sin + 0.05 * swept * self["hair_part"] * (y < 0)
        wave = self.hair_style(6)
        curls = (self.hair_style(7) > 0.5).float()
        x_edge = x.abs() + (1 - curls) * wave * torch.sin(13 * y) * step(y, -0.1, 0.3)
        crown = ellipse(x_edge, y, self.half_width + side, 0.53 + top)
        t = (y / bottom.clamp(min=0.05)).clamp(0, 1)
        width = torch.lerp(self.half_width + side, self.hair_style(3) + 0.5 * side, t)
        curtain = smooth_max(x_edge - width, y - bottom, 0.16)
        outline = torch.where(y < 0, crown, curtain)
        cloud = ellipse(x, y + 0.17, self.half_width + side, 0.36 + top)
        outline = torch.where(self.is_choice("hair_style", "afro") > 0, cloud, outline)
        outline = outline + self.strands * self.hair_style(6).clamp(max=0.004) * 14
        outline = outline - curls * wave * torch.cos(19 * x) * torch.cos(19 * y + 0.6)
        return torch.maximum(outline, self.hat_line - y)

    @cached_property
    def hair_opening(self) -> Tensor:
        """Signed distance of the part of the head that the hair in front leaves free."""
        x, y = self.head
        width = self.half_width * self.hair_style(4) * (0.25 + 0.75 * self.cos)
        u = (x - 0.20 * self.sin) / width
        straight = self.is_choice("fringe", "straight") * self.fringed
        side = self.is_choice("fringe", "side") * self.fringed
        swept = self.is_choice("hair_style", "side-swept")
        base = -0.36 + 0.21 * straight + 0.08 * side + 0.02 * swept
        arch = 0.20 - 0.17 * straight - 0.06 * side
        slope = (0.14 * side + 0.06 * swept) * self["hair_part"]
        hairline = base + arch * u.square().clamp(max=2) + slope * u.clamp(-1.5, 1.5)
        parted = 1 - self.is_choice("hair_style", "bald", "buzz", "afro", "curly")
        hairline = hairline - 0.13 * parted * blob(x - self.parting, y * 0, 0.07, 1.0)
        opening = smooth_max(u.abs() * width - width, hairline - y, 0.16)
        return opening + 0.22 * self.strands * (1 - self.is_choice("hair_style", "buzz"))

    @cached_property
    def parting(self) -> Tensor:
        """x of the parting of the hair."""
        return 0.22 * self["hair_part"] + 0.18 * self.sin

    @cached_property
    def fall(self) -> Tensor:
        """A coordinate across the strands of hair, which radiate from the parting and then hang down."""
        x, y = self.head
        spread = (y.clamp(max=0.10) + 0.95).clamp(min=0.2)
        return ((x - self.parting) / spread + 0.05 * self["hair_part"]).abs_()

    @cached_property
    def strands(self) -> Tensor:
        """Darkness of strands or curls, no finer than four pixels of a 64-px picture: small networks learn those."""
        x, y = self.head
        wave = 0.3 + 1.1 * self.is_choice("hair_style", "long wavy")
        across = self.fall
        across = across + 0.035 * wave * torch.sin(9 * y + 2.0 * across)
        strands = 0.075 * torch.sin(26 * across) + 0.05 * torch.sin(43 * across + 1.3)
        warped_x = 21 * x * (1 + 0.10 * torch.cos(6 * y))
        warped_y = 20 * y + 1.2 * torch.cos(7 * x)
        half = 0.87 * warped_x
        curls = torch.cos(warped_y) + 2 * torch.cos(half) * torch.cos(0.5 * warped_y)
        return torch.lerp(strands, 0.065 * curls, self.hair_style(7))

    @cached_property
    def fringed(self) -> Tensor:
        """1 where the style can have a fringe and no hat hides it."""
        return (1 - self.is_choice("hair_style", "bald", "buzz", "afro")) * self.is_choice("hat", "none")

    @cached_property
    def haired(self) -> Tensor:
        return 1 - self.is_choice("hair_style", "bald")

    @cached_property
    def ears_free(self) -> Tensor:
        return (self.hair_style(4) > 0.9).float()


def _turned(u: float, y: float, lift: float, sin: Tensor, cos: Tensor) -> tuple[Tensor, Tensor]:
    """Head coordinates of a point of the average face at `u`, `y`, once the head is turned; each `[B, 1, 1]`."""
    depth = _HEAD_DEPTH * math.sqrt(1 - (u / _HALF_WIDTH) ** 2) + lift
    return u * cos + depth * sin, torch.full_like(sin, y)
