"""Neck, clothes, glasses, hats and earrings."""

import torch
from torch import Tensor

from sfhub.portraits.face import ear_place
from sfhub.portraits.shapes import blob, ellipse, rounded_box, shade, smooth_max, smooth_min, step
from sfhub.portraits.stage import LABEL, Stage


def _neck_half_width(stage: Stage) -> Tensor:
    return 0.185 * (1 + 0.32 * stage["neck_width"])


def _shoulders(stage: Stage) -> tuple[Tensor, Tensor]:
    """Signed distance of the body, and how far across the shoulders a pixel lies."""
    x, y = stage.body
    across = x / (0.78 * (1 + 0.16 * stage["shoulder_width"]))
    slope = 0.540 + 0.10 * across.square() + 0.14 * across.square().square() * across.square()
    return (slope - y) * 0.8, across


def paint_neck(stage: Stage) -> None:
    """Neck and chest, in the shadow of the chin."""
    width = _neck_half_width(stage)
    x, y = stage.body
    x = x - 0.03 * stage.sin
    flare = 0.30 * (y - 0.52).clamp(min=0)
    column = (x.abs() - width - flare).maximum(0.05 - y)
    body, _ = _shoulders(stage)
    distance = smooth_min(column, body, 0.10)
    chin_y = 1.13 * stage.chin - 0.175
    chin_x = 0.14 * stage.sin
    shadow = 0.36 * blob(x - chin_x, y - chin_y, 0.30, 0.15)
    u = (x / width).clamp(-1.2, 1.2)
    darkness = 0.09 + shadow + 0.12 * u.square() - 0.12 * u * stage.light[0]
    stage.canvas.paint(stage.canvas.cover(distance), shade(stage.skin, darkness), LABEL["neck"])


def paint_hood(stage: Stage) -> None:
    """The hood that lies behind the neck of a hoodie."""
    x, y = stage.body
    distance = ellipse(x, y - 0.58, 0.40, 0.22)
    alpha = stage.canvas.cover(distance) * stage.is_choice("clothes", "hoodie")
    inner = step(ellipse(x, y - 0.53, 0.30, 0.18), 0.02, -0.06)
    stage.canvas.paint(alpha, shade(stage.colour("clothes"), 0.12 + 0.28 * inner), LABEL["clothes"])


def paint_clothes(stage: Stage) -> None:
    """A top with one of five necklines, folds and a pattern."""
    canvas = stage.canvas
    x, y = stage.body
    width = _neck_half_width(stage)
    body, across = _shoulders(stage)
    crew = ellipse(x, y - 0.53, width + 0.05, 0.115)
    vee = smooth_max((x.abs() - (0.84 - y) * 0.66) * 0.85, -(y - 0.3), 0.05)
    is_vee = stage.is_choice("clothes", "v-neck", "collar")
    turtle = stage.is_choice("clothes", "turtleneck")
    neckline = torch.where(is_vee > 0, vee, crew)
    covered = smooth_max(body - 0.012, -neckline, 0.02)
    band = rounded_box(x, y - 0.56, width + 0.025, 0.125, 0.05)
    distance = torch.where(turtle > 0, smooth_min(body - 0.012, band, 0.06), covered)
    base = stage.colour("clothes")
    light_x = stage.light[0]
    folds = torch.sin(9 * across.abs() + 7 * y + 1.5 * across.square()) * step(across.abs(), 0.2, 0.8)
    darkness = 0.16 * across.square() - 0.14 * across.clamp(-1, 1) * light_x + 0.06 * folds
    darkness = darkness + 0.22 * blob(x - 0.06 * stage.sin, y - 0.57, 0.34, 0.12) - 0.06
    hem = torch.where(is_vee > 0, vee, crew)
    darkness = darkness + (1 - turtle) * 0.16 * blob(hem - 0.055, hem - 0.055, 0.012, 0.012)
    darkness = darkness + turtle * 0.16 * blob(y - 0.53, y - 0.53, 0.018, 0.018) * step(band, 0.03, -0.02)
    contrast = stage["pattern_contrast"][:, None]
    contrast = torch.where(contrast < 0, -1.0, 1.0) * (0.5 + 0.5 * contrast.abs())
    lighter = torch.lerp(base, torch.full_like(base, 0.97), 0.72 * contrast)
    second = torch.where(contrast > 0, lighter, base * (1 + 0.65 * contrast))
    colour = torch.lerp(base, second, _pattern(stage, x, y, across)[:, None])
    weights = colour.new_tensor([0.92, 1.0, 1.02])[:, None, None]
    canvas.paint(canvas.cover(distance), colour * (1 - darkness[:, None] * weights), LABEL["clothes"])
    _paint_collar(stage, x, y, second)
    _paint_strings(stage, x, y)


def _pattern(stage: Stage, x: Tensor, y: Tensor, across: Tensor) -> Tensor:
    """Weight of the pattern's second colour; its lines bend with the shoulders."""
    drop = y - 0.16 * across.square()
    row, column = torch.sin(29 * drop), torch.cos(25 * x)
    stripes = step(row, -0.25, 0.25)
    dots = step(column * row, 0.35, 0.7)
    check = 0.5 * (step(row, -0.2, 0.2) + step(column, -0.2, 0.2))
    kinds = [stage.is_choice("pattern", name) for name in ("stripes", "dots", "check")]
    return kinds[0] * stripes + kinds[1] * dots + kinds[2] * check


def _paint_collar(stage: Stage, x: Tensor, y: Tensor, second: Tensor) -> None:
    """Two flaps along the neckline of a shirt."""
    side = x.abs()
    inner = (0.81 - y) * 0.66 - side
    flap = torch.maximum(inner, (side + 0.9 * (y - 0.55) - 0.34).maximum(0.45 - y + 0.3 * side)) * 0.85
    alpha = stage.canvas.cover(flap) * stage.is_choice("clothes", "collar")
    light = torch.lerp(stage.colour("clothes"), torch.ones_like(second), 0.30)
    stage.canvas.paint(alpha, shade(light, 0.20 * step(flap, -0.035, 0.0)), LABEL["clothes"])


def _paint_strings(stage: Stage, x: Tensor, y: Tensor) -> None:
    distance = rounded_box(x.abs() - 0.15, y - 0.76, 0.018, 0.12, 0.018)
    alpha = stage.canvas.cover(distance) * stage.is_choice("clothes", "hoodie")
    light = torch.lerp(stage.colour("clothes"), torch.ones_like(stage.skin), 0.65)
    stage.canvas.paint(alpha, light, LABEL["clothes"])


def paint_glasses(stage: Stage) -> None:
    """Frames, bridge and temples; lenses are clear with a glint, and eyes behind them keep their own label."""
    worn = 1 - stage.is_choice("glasses", "none")
    if not bool(worn.any()):
        return
    canvas = stage.canvas
    x, y = stage.head
    square = stage.is_choice("glasses", "square")
    frame = torch.full_like(x, 1.0)
    lens = torch.full_like(x, 1.0)
    for side in (-1, 1):
        centre, squeeze = stage.place(side * 0.205, 0.03)
        dx, dy = (x - centre) / squeeze, y - 0.005
        round_ = ellipse(dx, dy, 0.172, 0.160)
        box = rounded_box(dx, dy, 0.178, 0.132, 0.055)
        shape = torch.where(square > 0, box, round_)
        lens = torch.minimum(lens, shape)
        ear, near = ear_place(stage, side)
        hinge = centre + side * 0.17 * squeeze
        reach = torch.maximum(side * (x - ear), side * (hinge - x))
        temple = torch.maximum((y + 0.035).abs() - 0.014, reach)
        frame = torch.minimum(frame, torch.where(near == 0, torch.full_like(x, 1.0), temple))
    middle, _ = stage.place(0.0, 0.07)
    bridge = torch.maximum((y + 0.035 - 0.9 * (x - middle).square()).abs() - 0.013, (x - middle).abs() - 0.06)
    rim = lens.abs() - 0.017
    frame = torch.minimum(frame, torch.minimum(rim, bridge.maximum(-lens)))
    glass = canvas.cover(lens) * worn
    eyes = canvas.mask == LABEL["eyes"]
    slope = torch.where(stage["light_x"] < 0, -1.0, 1.0)
    glint = step((slope * x + 1.1 * y - 0.05).abs(), 0.075, 0.02) * 0.5 + 0.10
    canvas.paint(glass * glint * 0.38, torch.ones_like(stage.skin))
    canvas.mask.masked_fill_((glass > 0.5) & ~eyes, LABEL["glasses"])
    darkness = -0.25 * blob(y + 0.14, y + 0.14, 0.03, 0.03)
    canvas.paint(canvas.cover(frame) * worn, shade(stage.colour("glasses"), darkness), LABEL["glasses"])


def paint_hat(stage: Stage) -> None:
    """A knitted beanie with a cuff, a cap with a peak, or a brimmed hat with a band."""
    kinds = {name: stage.is_choice("hat", name) for name in ("beanie", "cap", "brimmed")}
    if not any(bool(kind.any()) for kind in kinds.values()):
        return
    canvas = stage.canvas
    x, y = stage.head
    x = x + 0.03 * stage.sin
    bend = 0.16 * x.square()
    line = -0.235
    radius = stage.half_width + 0.055 + 0.25 * stage.hair_style(1).clamp(max=0.12)
    height = 0.635 + 0.06 * kinds["beanie"] - 0.02 * kinds["cap"]
    dome = smooth_max(ellipse(x, y, radius, height), y - line + bend, 0.05)
    cuff = smooth_max((y - line + bend + 0.02).abs() - 0.078, x.abs() - radius * 0.965, 0.06)
    peak_x = x - 0.30 * stage.sin
    below = line - 0.035 - y + 0.22 * peak_x.square()
    peak = smooth_max(ellipse(peak_x, y + 0.27 - 0.25 * peak_x.square(), 0.40, 0.135), below, 0.03)
    brim = ellipse(x, y + 0.27 + 0.22 * x.square(), 0.74, 0.085)
    base = stage.colour("hat")
    u, v = x / radius, (y + 0.05) / height
    form = 0.50 * (0.62 - stage.lambert(u.clamp(-1, 1), v.clamp(-1, 0.2)))
    ribs = 0.16 * torch.sin(30 * x / (1.25 + y)).abs() * kinds["beanie"]
    seam = 0.16 * blob(peak_x, peak_x, 0.018, 0.018) * kinds["cap"]
    band = 0.42 * step((y - line + bend + 0.08).abs(), 0.06, 0.045) * kinds["brimmed"]
    worn = 1 - stage.is_choice("hat", "none")
    canvas.paint(canvas.cover(dome) * worn, shade(base, form + ribs + seam + band), LABEL["hat"])
    extra = torch.where(kinds["beanie"] > 0, cuff, torch.where(kinds["cap"] > 0, peak, brim))
    ribs = 0.18 * torch.sin(30 * x).abs() * kinds["beanie"]
    lit = 0.35 * (0.5 - stage.lambert(u.clamp(-1, 1), v * 0)) + 0.22 * step(extra, -0.05, 0.0) + ribs - 0.04
    lit = lit + kinds["cap"] * (0.30 * blob(y - line + 0.05 - 0.2 * peak_x.square(), y * 0, 0.03, 1.0) + 0.10)
    canvas.paint(canvas.cover(extra) * worn, shade(base, lit), LABEL["hat"])


def paint_earrings(stage: Stage) -> None:
    """Studs or hoops; the one on the far side of a turned head is out of sight."""
    kinds = {name: stage.is_choice("earrings", name) for name in ("stud", "hoop")}
    if not any(bool(kind.any()) for kind in kinds.values()):
        return
    canvas = stage.canvas
    x, y = stage.head
    metal = torch.lerp(x.new_tensor([0.80, 0.82, 0.86]), x.new_tensor([0.93, 0.74, 0.32]), stage["earring_gold"])
    colour = metal.flatten(1)[:, :, None, None]
    behind = 1 - canvas.cover(stage.face[0])
    for side in (-1, 1):
        centre, near = ear_place(stage, side)
        dx, dy = x - centre - side * 0.03, y - 0.205
        stud = ellipse(dx, dy, 0.037, 0.037)
        hoop = (ellipse(dx, dy - 0.07, 0.078, 0.088)).abs() - 0.017
        distance = torch.where(kinds["hoop"] > 0, hoop, stud)
        worn = kinds["stud"] + kinds["hoop"]
        far = (1 - near) * (stage.sin.abs() > 0.10)
        alpha = canvas.cover(distance) * worn * torch.where(far > 0, behind, torch.ones_like(behind))
        spark = blob(dx - 0.012 * stage.light[0], dy + 0.012, 0.02, 0.02) * kinds["stud"]
        spark += blob(dy - 0.13, dx, 0.03, 0.05) * kinds["hoop"]
        canvas.paint(alpha, shade(colour, 0.16 - 0.55 * spark), LABEL["earrings"])
