"""The head: skin, beard, eyes, brows, mouth and ears.

The nose is shading of the skin, so it has a label and no colour of its own.
"""

import torch
from torch import Tensor

from sfhub.portraits.shapes import blob, ellipse, shade, smooth_min, step
from sfhub.portraits.stage import EYE_PLACE, LABEL, MOUTH_LIFT, MOUTH_PLACE, Stage

_BLUSH_TINT = (0.05, 0.85, 0.75)


def _rgb(stage: Stage, red: float, green: float, blue: float) -> Tensor:
    """A colour `[1, 3, 1, 1]` on the stage's device."""
    return stage.x.new_tensor([red, green, blue])[None, :, None, None]


def paint_skin(stage: Stage) -> None:
    """Face with form shading, the hair's shadow, sockets, nose, folds and blush; labels skin and nose."""
    canvas = stage.canvas
    distance, u, v = stage.face
    darkness = 0.42 * (0.72 - stage.lambert(u, v))
    darkness += _hair_shadow(stage)
    darkness += _sockets(stage)
    darkness += _folds(stage)
    nose, nose_distance = _nose(stage)
    darkness += nose
    colour = shade(stage.skin, darkness.clamp_(-0.16, 0.62))
    colour *= 1 - _blush(stage)[:, None] * _rgb(stage, *_BLUSH_TINT)
    alpha = canvas.cover(distance)
    canvas.paint(alpha, colour, LABEL["skin"])
    canvas.mask.masked_fill_((canvas.cover(nose_distance) > 0.5) & (alpha > 0.5), LABEL["nose"])


def _hair_shadow(stage: Stage) -> Tensor:
    hat = 1 - stage.is_choice("hat", "none")
    _, y = stage.head
    under_hair = stage.haired * 0.20 * step(stage.hair_opening, -0.13, 0.02)
    return torch.maximum(under_hair, hat * 0.30 * step(y, 0.0, -0.25))


def _sockets(stage: Stage) -> Tensor:
    x, y = stage.head
    total = torch.zeros_like(x)
    for side in (-1, 1):
        centre, squeeze = stage.place(side * (0.205 + 0.02 * stage["eye_spacing"]))
        total += blob(x - centre, y + 0.03, 0.17 * squeeze, 0.12)
    return total.mul_(0.10)


def _folds(stage: Stage) -> Tensor:
    """Lines beside the mouth, bags under the eyes and lines across the forehead, from middle age on."""
    x, y = stage.head
    age = (stage["age"] - 0.1).clamp(min=0) * 1.2
    strength = 0.19 * age + 0.05 * stage["smile"].clamp(min=0)
    centre, _ = stage.place(0.0, 0.05)
    total = torch.zeros_like(x)
    down = y - 0.295
    for side in (-1, 1):
        lateral = side * (x - centre) - 0.17 - 0.35 * down
        total += strength * blob(lateral, down, 0.022, 0.10)
        socket, squeeze = stage.place(side * 0.205)
        across = (x - socket) / squeeze
        total += 0.20 * age * blob(across, y - 0.135 + 1.6 * across.square(), 0.10, 0.022)
    middle, _ = stage.place(0.0)
    bow = y + 0.6 * (x - middle).square()
    lines = blob(x - middle, bow + 0.25, 0.2, 0.018) + blob(x - middle, bow + 0.325, 0.18, 0.018)
    return total.add_(0.165 * age * lines)


def _blush(stage: Stage) -> Tensor:
    x, y = stage.head
    total = torch.zeros_like(x)
    for side in (-1, 1):
        centre, squeeze = stage.place(side * 0.28)
        total += blob(x - centre, y - 0.20, 0.14 * squeeze, 0.10)
    tip, _ = stage.place(0.0, 0.12)
    total += 0.5 * blob(x - tip, y - 0.17, 0.09, 0.07)
    return total.mul_(0.03 + 0.19 * stage["blush"])


def _nose(stage: Stage) -> tuple[Tensor, Tensor]:
    """Darkness of the nose and the signed distance of its outline."""
    x, y = stage.head
    tip_y = 0.195 + 0.045 * stage["nose_size"]
    width = 0.092 * (1 + 0.48 * stage["nose_width"]) * (1 + 0.05 * stage["nose_size"])
    along = ((y + 0.04) / (tip_y + 0.04)).clamp(0, 1)
    root, _ = stage.place(0.0, 0.0)
    tip, _ = stage.place(0.0, 0.11)
    across = x - torch.lerp(root.expand_as(x), tip.expand_as(x), along)
    ball_x, ball_y = x - tip, y - tip_y
    light_x = stage.light[0]
    t = across / (0.055 + 0.03 * along)
    bridge = step(y, -0.12, 0.03) * step(y - tip_y, 0.12, -0.065)
    darkness = (t * torch.exp(-t.square())) * bridge * (-0.38 * light_x - 0.25 * stage.sin)
    darkness += 0.09 * blob(across.abs() - 0.065, y + 0.02, 0.035, 0.09)
    darkness -= 0.16 * blob(ball_x - 0.25 * width * light_x, ball_y + 0.02, 0.045, 0.04)
    darkness -= 0.07 * blob(across, y - 0.04, 0.025, 0.11)
    rim = ellipse(ball_x, ball_y - 0.005, width, 0.062)
    below = step(ball_y, -0.02, 0.05)
    darkness += 0.26 * below * blob(rim, rim, 0.024, 0.024)
    for side in (-1, 1):
        darkness += 0.42 * blob(ball_x - side * 0.45 * width, ball_y - 0.038, 0.028, 0.016)
        wing = ellipse(ball_x - side * 0.74 * width, ball_y - 0.008, 0.36 * width, 0.045)
        darkness += 0.10 * step(side * ball_x, 0.03, 0.09) * blob(wing, wing, 0.02, 0.02)
    bridge_outline = (across.abs() - torch.lerp(torch.full_like(along, 0.035), width * 0.75, along)).maximum(-0.02 - y)
    return darkness, smooth_min(ellipse(ball_x, ball_y, width * 1.05, 0.062), bridge_outline.maximum(ball_y), 0.05)


def paint_beard(stage: Stage) -> None:
    """Facial hair, labelled as skin like in CelebAMask-HQ, whose annotators left beards inside the face."""
    kinds = {name: stage.is_choice("beard", name) for name in ("stubble", "full", "moustache", "goatee")}
    if not any(bool(kind.any()) for kind in kinds.values()):
        return
    canvas = stage.canvas
    x, y = stage.head
    outline, u, v = stage.face
    centre, squeeze = stage.place(0.0, MOUTH_LIFT)
    across = (x - centre) / squeeze
    lip = 0.305 + 0.02 * stage["nose_size"]
    cheek = (0.31 - 1.9 * (across.square() - 0.045).clamp(min=0)).maximum(0.02 - 0 * across)
    jaw = (cheek - y).maximum(outline - 0.035 * kinds["full"])
    moustache = ellipse(across, y - lip - 0.35 * across.square(), 0.17, 0.042)
    goatee = ellipse(across, y - 0.495, 0.155, 0.15).maximum(outline - 0.02)
    whole = smooth_min(jaw, moustache, 0.03)
    no_hair = torch.full_like(whole, 1.0)
    distance = torch.where(kinds["full"] + kinds["stubble"] > 0, whole, no_hair)
    distance = torch.where(kinds["moustache"] > 0, moustache, distance)
    distance = torch.where(kinds["goatee"] > 0, smooth_min(goatee, moustache, 0.03), distance)
    alpha = (0.5 - distance / 0.045).clamp_(0, 1) * (0.92 - 0.42 * kinds["stubble"])
    strands = torch.sin(52 * across.abs() * (1 + 0.3 * y) + 9 * y) * 0.07
    darkness = 0.35 * (0.66 - stage.lambert(u, v)) + strands
    colour = shade(stage.colour("hair") * 0.72 + 0.04 * stage.skin, darkness)
    canvas.paint(alpha, colour)
    canvas.mask.masked_fill_((alpha > 0.5) & (distance < 0) & (canvas.mask != LABEL["nose"]), LABEL["skin"])


def paint_eyes(stage: Stage) -> None:
    """Both eyes: lids, whites, iris with limbal ring, pupil and catch-light, the lash line and the crease above."""
    for side in (-1, 1):
        _paint_eye(stage, side)


def _paint_eye(stage: Stage, side: int) -> None:
    canvas = stage.canvas
    head_x, head_y = stage.head
    centre, squeeze = stage.place(side * (EYE_PLACE + 0.026 * stage["eye_spacing"]))
    half = 0.114 * (1 + 0.20 * stage["eye_size"]) * (1 - 0.10 * stage["eye_roundness"])
    x = (head_x - centre) / squeeze
    slant = 0.26 * stage["eye_slant"] + 0.05
    y = head_y + slant * side * x
    t = (x / half).clamp(-1.25, 1.25)
    arc = (1 - t.square()).clamp(min=0)
    arc = torch.where(arc > 0, arc.clamp(min=1e-3) ** torch.exp2(-0.6 * stage["eye_roundness"]), arc)
    open_ = 0.25 + 0.75 * stage["eye_openness"]
    height = (0.098 * (1 + 0.10 * stage["eye_roundness"]) * (1 + 0.20 * stage["eye_size"])) * open_
    squint = 1 - 0.35 * stage["smile"].clamp(min=0)
    upper = -height * arc * (1 + 0.12 * side * t)
    lower = 0.62 * height * squint * arc
    steep = (1 + (2.2 * height / half * t).square()).sqrt()
    distance = (torch.maximum(upper - y, y - lower) / steep).maximum((x.abs() - half) * 0.8)
    alpha = canvas.cover(distance)

    lid_shade = step(y - upper, 0.05, 0.0)
    white = shade(_rgb(stage, 0.97, 0.96, 0.95), 0.30 * lid_shade + 0.12 * t.square())
    canvas.paint(alpha, white, LABEL["eyes"])

    iris_x = x - half * 0.36 * stage["gaze_x"]
    iris_y = y + 0.012 - 0.034 * stage["gaze_y"]
    radius = 0.069 * (1 + 0.16 * stage["eye_size"])
    r = (iris_x.square() + iris_y.square()).sqrt_()
    ring = step(r / radius, 0.62, 1.0)
    glow = blob(iris_x, iris_y - 0.032, 0.045, 0.035)
    iris = shade(stage.colour("eye"), 0.62 * ring + 0.35 * lid_shade - 0.55 * glow)
    pupil = canvas.cover(r - 0.43 * radius)[:, None]
    iris = iris * (1 - 0.88 * pupil)
    canvas.paint(alpha * canvas.cover(r - radius), iris)

    light_x = stage.light[0]
    spark = canvas.cover(ellipse(iris_x - 0.026 * light_x, iris_y + 0.026, 0.021, 0.021))
    canvas.paint(alpha * spark * 0.95, torch.ones_like(iris[:, :, :1, :1]))

    weight = 0.2 + 0.8 * stage["lashes"]
    outer = (side * t).clamp(min=0)
    thick = (0.003 + 0.024 * weight * (0.6 + 0.8 * outer)) * (1.12 - t.abs()).clamp(0, 0.5) * 2
    wing = upper - 0.09 * weight * (outer - 0.7).clamp(min=0)
    line = canvas.cover((y - wing).abs() / steep - thick) * step(t.abs(), 1.16, 1.02)
    dark = 0.30 * stage.skin * _rgb(stage, 0.75, 0.6, 0.6)
    canvas.paint(line * 0.95, dark, LABEL["eyes"])
    under = blob(y - lower, t, 0.012, 0.8) * 0.28 * (t.abs() < 1.05)
    crease = blob(y - upper + 0.032 + 0.01 * stage["eye_openness"], t, 0.012, 0.9) * 0.26 * (t.abs() < 1.2)
    canvas.paint((under + crease).clamp_(max=1) * (1 - alpha), stage.skin * 0.42)


def paint_brows(stage: Stage) -> None:
    """Both brows, thick inside and tapering outwards."""
    canvas = stage.canvas
    head_x, head_y = stage.head
    colour = torch.lerp(stage.colour("hair") * 0.72, stage.skin * 0.42, 0.30)
    for side in (-1, 1):
        centre, squeeze = stage.place(side * (0.205 + 0.022 * stage["eye_spacing"]))
        x = side * (head_x - centre) / squeeze
        t = x / 0.145
        level = -0.178 - 0.034 * stage["brow_height"] + 0.055 * t.square() - 0.065 * stage["brow_angle"] * t + 0.004 * t
        thickness = (0.028 + 0.019 * stage["brow_thickness"]) * (1.0 - 0.30 * t.clamp(-1, 1.4))
        distance = ((head_y - level).abs() - thickness * 1.05).maximum((t.abs() - 1) * 0.13)
        canvas.paint(canvas.cover(distance) * 0.90, colour, LABEL["brows"])


def paint_mouth(stage: Stage) -> None:
    """Lips with bow and highlight; an open mouth shows teeth, tongue and a dark inside."""
    canvas = stage.canvas
    head_x, head_y = stage.head
    smile, open_ = stage["smile"], stage["mouth_open"]
    centre, squeeze = stage.place(0.0, MOUTH_LIFT)
    half = 0.150 * (1 + 0.30 * stage["mouth_width"] + 0.16 * smile.clamp(min=0) - 0.10 * open_)
    x = (head_x - centre) / squeeze
    t = x / half
    arc = (1 - t.square()).clamp(min=0)
    round_arc = 0.45 * arc + 0.55 * (1 - t.square().square()).clamp(min=0)
    full = 1 + 0.45 * stage["lip_fullness"]
    middle = head_y - MOUTH_PLACE - 0.02 * stage["face_length"] + (0.062 * smile) * (t.square() - 0.45).clamp(max=0.8)
    gap_up, gap_down = 0.022 * open_ * arc, (0.092 * open_) * round_arc
    bow = 1 - 0.30 * blob(t, t, 0.24, 1e3)
    top = -gap_up - 0.040 * full * arc * bow
    bottom = gap_down + 0.048 * full * arc
    steep = (1 + (0.62 * t.clamp(-1, 1)).square()).sqrt()
    ends = (t.abs() - 0.99) * 0.10
    lips = (torch.maximum(top - middle, middle - bottom) / steep).maximum(ends)
    inner = (torch.maximum(-gap_up - middle, middle - gap_down) / steep).maximum(ends + 0.012)

    shadow = blob(x, middle - bottom - 0.035, 0.09, 0.022) * 0.22
    canvas.glaze(shadow)
    alpha = canvas.cover(lips)
    lipstick = _rgb(stage, 0.78, 0.20, 0.24)
    lipstick = lipstick * (0.55 + 0.45 * stage.skin[:, :1])
    bare = stage.skin * _rgb(stage, 0.86, 0.62, 0.62)
    colour = torch.lerp(bare, lipstick, 0.15 + 0.7 * stage["lip_tint"][:, None])
    shine = blob(x - 0.03 * stage.light[0], middle - gap_down - 0.022 * full, 0.055, 0.012)
    darkness = 0.20 * step(middle + gap_up, 0.01, -0.02) - 0.34 * shine * (0.4 + 0.6 * stage["lip_tint"])
    canvas.paint(alpha, shade(colour, darkness), LABEL["mouth"])

    parted = step(open_, 0.02, 0.15)
    seam = blob(middle, t * 0.8, 0.010, 1.0) * 0.75 * (1 - parted) * step(t.abs(), 1.06, 0.94)
    canvas.paint(seam, colour * 0.36)
    inside = canvas.cover(inner) * parted
    tongue = blob(x, middle - gap_down, 0.09, 0.045)
    dark = torch.lerp(_rgb(stage, 0.24, 0.07, 0.08), _rgb(stage, 0.74, 0.32, 0.33), tongue[:, None])
    canvas.paint(inside, dark, LABEL["mouth"])
    edge = -gap_up + 0.045 * (0.5 + 0.5 * open_)
    teeth = inside * canvas.cover(middle - edge) * step(t.abs(), 1.0, 0.72)
    canvas.paint(teeth, shade(_rgb(stage, 0.97, 0.955, 0.92), 0.28 * t.square()))


def ear_place(stage: Stage, side: int) -> tuple[Tensor, Tensor]:
    """Head coordinates of an ear's middle, and 1 where that side is the near one."""
    near = (side * stage.sin < 0.02).float()
    shift = torch.where(side * stage.sin < 0, 0.20 * stage.sin, 0.03 * stage.sin)
    return side * stage.half_width * (0.15 + 0.85 * stage.cos) + shift, near


def paint_ears(stage: Stage) -> None:
    """Ears that hair does not cover; the far one hides behind the face."""
    canvas = stage.canvas
    x, y = stage.head
    size = 1 + 0.36 * stage["ear_size"]
    behind = 1 - canvas.cover(stage.face[0])
    for side in (-1, 1):
        centre, near = ear_place(stage, side)
        dx, dy = x - centre - side * 0.012, y - 0.06
        lean = dx - side * 0.18 * -dy
        distance = ellipse(lean, dy, 0.072 * size, 0.128 * size)
        frontal = step(stage.sin.abs(), 0.12, 0.0)
        visible = behind + near * (1 - frontal) * (1 - behind)
        alpha = canvas.cover(distance) * visible * stage.ears_free
        bowl = blob(lean - side * 0.004, dy + 0.01, 0.036 * size, 0.072 * size)
        darkness = 0.12 - 0.16 * side * stage.light[0] + 0.34 * bowl + 0.10 * step(distance, -0.02, 0.0)
        canvas.paint(alpha, shade(stage.skin * _rgb(stage, 1.0, 0.95, 0.94), darkness), LABEL["ears"])
