"""The named attributes of a portrait, their documented distribution, and their form as a regression target.

Every portrait is a function of the attributes below and of nothing else. Continuous attributes hold real numbers in a
closed range, categorical ones integer codes into `choices`. Colours are stored as red, green, blue components, never
as a hue angle, so that they can be regressed. Under a horizontal mirror the attributes marked `odd` change sign and
all others stay; the distribution is symmetric under that map.

The distribution (`sample_attributes`): most shape attributes are normal, clipped to their range. Skin tone covers the
whole human range almost evenly (a uniform number to the power 1.15), age is uniform over adulthood. Hair colour
follows skin tone loosely, greys with age and is dyed in one portrait of fourteen. An unseen number per portrait
("styling") shifts jaw, beard, brows, lashes, lips, neck, hair style and earrings together, with wide overlap. Half a
smile or more is common; open mouths mostly smile. A hat (one in four) excludes buns and afros. Clothes, hats and
backgrounds take shades of muted palettes. The weights of every choice stand in the `_draw_*` functions.
"""

import difflib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from sfhub.errors import InputError

__all__ = [
    "ATTRIBUTES",
    "ATTRIBUTE_VECTOR_NAMES",
    "Attribute",
    "attribute_columns",
    "attribute_vector",
    "attribute_visibility",
    "attributes_from_vector",
    "Draws",
    "check_attributes",
    "draw_attributes",
    "flip_attributes",
    "sample_attributes",
]


@dataclass(frozen=True)
class Attribute:
    """One named attribute: a range for `kind == "continuous"`, a tuple of choices for `kind == "categorical"`."""

    name: str
    kind: str
    description: str
    low: float
    high: float
    default: float
    choices: tuple[str, ...] = ()
    odd: bool = False


def _real(name: str, low: float, high: float, default: float, description: str, odd: bool = False) -> Attribute:
    return Attribute(name, "continuous", description, low, high, default, odd=odd)


def _choice(name: str, choices: Sequence[str], default: str, description: str) -> Attribute:
    choices = tuple(choices)
    return Attribute(name, "categorical", description, 0, len(choices) - 1, choices.index(default), choices)


def _colour(name: str, default: tuple[float, float, float], what: str) -> list[Attribute]:
    parts = zip(("red", "green", "blue"), default, strict=True)
    return [_real(f"{name}_{part}", 0, 1, value, f"{part} component of the {what} colour") for part, value in parts]


_SPECIFICATION = [
    _real("yaw", -35, 35, 0, "head turn in degrees; positive looks to the right of the picture", odd=True),
    _real("tilt", -12, 12, 0, "in-plane roll in degrees; positive leans to the right of the picture", odd=True),
    _real("head_x", -1, 1, 0, "horizontal place of head and body in the frame", odd=True),
    _real("head_size", -1, 1, 0, "size of the head in the frame"),
    _real("light_x", -1, 1, 0.4, "light from the left (-1) or right (1) of the picture", odd=True),
    _real("light_y", -1, 1, 0, "light from high (-1) or low (1)"),
    _real("light_warmth", -1, 1, 0, "cool (-1) to warm (1) light"),
    _real("face_width", -1, 1, 0, "narrow to wide face"),
    _real("face_length", -1, 1, 0, "short to long lower face"),
    _real("jaw", -1, 1, 0, "pointed to square jaw"),
    _real("skin_tone", 0, 1, 0.35, "very light (0) to very dark (1)"),
    _real("skin_undertone", -1, 1, 0, "cool, rosy (-1) to warm, golden (1)"),
    _real("age", 0, 1, 0.3, "young adult (0) to old (1): folds and lines"),
    _real("blush", 0, 1, 0.4, "redness of the cheeks"),
    _real("eye_size", -1, 1, 0, "small to large eyes"),
    _real("eye_roundness", -1, 1, 0, "narrow, almond to round eyes"),
    _real("eye_slant", -1, 1, 0, "outer corners down (-1) or up (1)"),
    _real("eye_spacing", -1, 1, 0, "close to wide set eyes"),
    _real("eye_openness", 0, 1, 0.8, "half closed (0) to wide open (1)"),
    _real("gaze_x", -1, 1, 0, "gaze to the left (-1) or right (1) of the picture", odd=True),
    _real("gaze_y", -1, 1, 0, "gaze up (-1) or down (1)"),
    *_colour("eye", (0.36, 0.24, 0.14), "iris"),
    _real("lashes", 0, 1, 0.4, "weight of the upper lashes"),
    _real("brow_thickness", -1, 1, 0, "thin to thick brows"),
    _real("brow_angle", -1, 1, 0, "worried (-1) to frowning (1) slope of the brows"),
    _real("brow_height", -1, 1, 0, "low to raised brows"),
    _real("nose_size", -1, 1, 0, "short to long nose"),
    _real("nose_width", -1, 1, 0, "narrow to wide nose"),
    _real("mouth_width", -1, 1, 0, "narrow to wide mouth"),
    _real("smile", -1, 1, 0.3, "corners down (-1) to a broad smile (1)"),
    _real("mouth_open", 0, 1, 0, "closed (0) to open (1), with teeth and a dark inside"),
    _real("lip_fullness", -1, 1, 0, "thin to full lips"),
    _real("lip_tint", 0, 1, 0.2, "bare lips (0) to strong lipstick (1)"),
    _real("lip_hue", -1, 1, 0, "coral (-1) over red to plum (1)"),
    _real("ear_size", -1, 1, 0, "small to large ears"),
    _choice(
        "hair_style",
        (
            "bald",
            "buzz",
            "short",
            "side-swept",
            "bob",
            "long straight",
            "long wavy",
            "curly",
            "afro",
            "bun",
            "ponytail",
        ),
        "short",
        "hair style",
    ),
    _real("hair_length", -1, 1, 0, "short to long, within the style"),
    _real("hair_volume", -1, 1, 0, "flat to voluminous, within the style"),
    _real("hair_wave", 0, 1, 0.3, "straight to wavy strands"),
    _real("hair_part", -1, 1, 0.5, "side of the parting, of a side fringe and of a ponytail", odd=True),
    *_colour("hair", (0.3, 0.2, 0.13), "hair"),
    _choice("fringe", ("none", "straight", "side"), "none", "fringe"),
    _choice("beard", ("none", "stubble", "full", "moustache", "goatee"), "none", "facial hair"),
    _choice("glasses", ("none", "round", "square"), "none", "glasses"),
    *_colour("glasses", (0.15, 0.13, 0.14), "glasses frame"),
    _choice("hat", ("none", "beanie", "cap", "brimmed"), "none", "hat"),
    *_colour("hat", (0.3, 0.4, 0.55), "hat"),
    _choice("earrings", ("none", "stud", "hoop"), "none", "earrings"),
    _real("earring_gold", 0, 1, 1, "silver (0) to gold (1) earrings"),
    _real("neck_width", -1, 1, 0, "slim to strong neck"),
    _real("shoulder_width", -1, 1, 0, "narrow to wide shoulders"),
    _choice("clothes", ("crew neck", "v-neck", "collar", "turtleneck", "hoodie"), "crew neck", "clothes"),
    *_colour("clothes", (0.35, 0.5, 0.6), "clothes"),
    _choice("pattern", ("plain", "stripes", "dots", "check"), "plain", "pattern of the clothes"),
    _real("pattern_contrast", -1, 1, 0.5, "second colour of the pattern darker (-1) or lighter (1)"),
    _choice("background", ("flat", "gradient", "bokeh", "horizon"), "gradient", "kind of background"),
    *_colour("background", (0.7, 0.78, 0.84), "first background"),
    *_colour("background2", (0.86, 0.82, 0.76), "second background"),
    _real("background_x", -1, 1, 0.3, "horizontal arrangement of the background", odd=True),
    _real("background_y", -1, 1, 0, "vertical arrangement of the background"),
]

ATTRIBUTES: "OrderedDict[str, Attribute]" = OrderedDict((item.name, item) for item in _SPECIFICATION)
"""All attributes by name, in the order of `attribute_vector`."""

ATTRIBUTE_VECTOR_NAMES: tuple[str, ...] = tuple(
    column
    for item in ATTRIBUTES.values()
    for column in ([item.name] if item.kind == "continuous" else [f"{item.name}={choice}" for choice in item.choices])
)
"""Columns of `attribute_vector`: `name` of a continuous attribute, `name=choice` per choice of a categorical one."""


def check_attributes(attributes: Mapping[str, torch.Tensor | float | str]) -> dict[str, torch.Tensor]:
    """Complete and check attributes.

    Args:
        attributes: values by name: a number, the name of a choice, or a tensor `[B]` or `[1]`; what is missing takes
            its default.

    Returns:
        All attributes as float32 tensors `[B]` on one device.

    Raises:
        InputError: an unknown name or choice, a value out of range or not finite, or tensors of different lengths.
    """
    for name in attributes:
        if name not in ATTRIBUTES:
            near = ", ".join(difflib.get_close_matches(str(name), ATTRIBUTES, n=3, cutoff=0))
            raise InputError(f"'{name}' is no portrait attribute; did you mean one of {near} (all are in ATTRIBUTES)?")
    tensors = [value for value in attributes.values() if torch.is_tensor(value)]
    device = tensors[0].device if tensors else torch.device("cpu")
    values = {
        item.name: _as_tensor(item, attributes.get(item.name, item.default), device) for item in ATTRIBUTES.values()
    }
    count = max(value.numel() for value in values.values())
    for name, value in values.items():
        if value.numel() not in (1, count):
            raise InputError(
                f"Attribute '{name}' has {value.numel()} values where others have {count}; give one or {count} of them."
            )
    _check_ranges(values)
    return {name: value.expand(count).contiguous() for name, value in values.items()}


def _as_tensor(item: Attribute, value: torch.Tensor | float | str, device: torch.device) -> torch.Tensor:
    if isinstance(value, str):
        if value not in item.choices:
            remedy = (
                f"one of {', '.join(item.choices)}" if item.choices else f"a number from {item.low:g} to {item.high:g}"
            )
            raise InputError(f"'{value}' is no value of attribute '{item.name}'; give {remedy}.")
        value = item.choices.index(value)
    try:
        tensor = torch.as_tensor(value, dtype=torch.float32, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"Attribute '{item.name}' got {value!r}; give a number or a tensor [B] of numbers.") from error
    if tensor.ndim > 1 or tensor.numel() == 0:
        raise InputError(
            f"Attribute '{item.name}' has shape {list(tensor.shape)}; give a number or a tensor of shape [B]."
        )
    return tensor.reshape(-1)


def _check_ranges(values: Mapping[str, torch.Tensor]) -> None:
    for name, value in values.items():
        item = ATTRIBUTES[name]
        # Written so that NaN counts as wrong; the slack lets a value survive float32 rounding.
        wrong = ~((value >= item.low - 1e-4) & (value <= item.high + 1e-4))
        if item.choices:
            wrong |= value != value.round()
        if bool(wrong.any()):
            bad = value[wrong][0].item()
            kind = "an integer code" if item.choices else "a number"
            raise InputError(f"Attribute '{name}' is {bad:g}; give {kind} from {item.low:g} to {item.high:g}.")


def flip_attributes(attributes: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Attributes of the mirrored portrait: `render(flip_attributes(a))` is `render(a)` flipped left to right."""
    return {name: -value if ATTRIBUTES[name].odd else value for name, value in attributes.items()}


def attribute_vector(attributes: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Attributes as a regression target.

    Args:
        attributes: as `check_attributes` takes them.

    Returns:
        `[B, len(ATTRIBUTE_VECTOR_NAMES)]` float32: continuous attributes scaled linearly from their range to [-1, 1],
        categorical ones one-hot.

    Raises:
        InputError: as `check_attributes` says.
    """
    columns = []
    for name, value in check_attributes(attributes).items():
        item = ATTRIBUTES[name]
        if item.choices:
            columns.append(torch.nn.functional.one_hot(value.long(), len(item.choices)).float())
        else:
            columns.append((2 * (value - item.low) / (item.high - item.low) - 1)[:, None])
    return torch.cat(columns, dim=1)


def attribute_columns() -> dict[str, slice]:
    """Where each attribute lies in the attribute vector."""
    columns, start = {}, 0
    for name, item in ATTRIBUTES.items():
        width = max(1, len(item.choices))
        columns[name] = slice(start, start + width)
        start += width
    return columns


def attributes_from_vector(vector: torch.Tensor) -> dict[str, torch.Tensor]:
    """The attributes that a vector `[B, len(ATTRIBUTE_VECTOR_NAMES)]`, such as the parser's, is nearest to.

    Returns:
        All attributes as float32 `[B]`: continuous ones clipped to their range, of categorical ones the likeliest.
    """
    found = {}
    for name, columns in attribute_columns().items():
        item, part = ATTRIBUTES[name], vector[:, columns].float()
        scaled = item.low + (part[:, 0].clamp(-1, 1) + 1) / 2 * (item.high - item.low)
        found[name] = part.argmax(dim=1).float() if item.choices else scaled.clamp(item.low, item.high)
    return found


def attribute_visibility(attributes: Mapping[str, torch.Tensor | float | str]) -> torch.Tensor:
    """Which columns of `attribute_vector` a picture can show, as a weight for a regression loss.

    The colour of a hat that nobody wears, the fringe under a hat and the like leave no trace in the image.

    Args:
        attributes: as `check_attributes` takes them.

    Returns:
        `[B, len(ATTRIBUTE_VECTOR_NAMES)]` float32, 1 where the column shows and 0 where it cannot.

    Raises:
        InputError: as `check_attributes` says.
    """
    values = check_attributes(attributes)
    is_none = {name: values[name] == 0 for name in ("hat", "glasses", "earrings", "pattern", "background")}
    style = ATTRIBUTES["hair_style"].choices.index
    shaven = (values["hair_style"] == style("bald")) | (values["hair_style"] == style("buzz"))
    no_fringe = shaven | (values["hair_style"] == style("afro")) | ~is_none["hat"]
    hidden = {
        "hat_": is_none["hat"],
        "glasses_": is_none["glasses"],
        "earring_gold": is_none["earrings"],
        "pattern_contrast": is_none["pattern"],
        "background2_": is_none["background"],
        "background_x": is_none["background"],
        "background_y": is_none["background"],
        "hair_length": shaven,
        "hair_volume": shaven,
        "hair_wave": shaven,
        "hair_part": shaven,
        "fringe=": no_fringe,
    }
    nowhere = torch.zeros_like(shaven)
    columns = [
        next((hidden[key] for key in hidden if name.startswith(key)), nowhere) for name in ATTRIBUTE_VECTOR_NAMES
    ]
    return 1 - torch.stack(columns, dim=1).float()


_HAIR_SHADES = [
    (0.10, 0.085, 0.09),
    (0.17, 0.12, 0.10),
    (0.28, 0.18, 0.12),
    (0.40, 0.26, 0.16),
    (0.56, 0.27, 0.12),
    (0.68, 0.48, 0.27),
    (0.86, 0.70, 0.44),
]
_HAIR_DYES = [(0.80, 0.45, 0.58), (0.32, 0.48, 0.70), (0.28, 0.56, 0.52), (0.52, 0.38, 0.66), (0.75, 0.28, 0.24)]
_EYE_SHADES = [
    (0.26, 0.16, 0.10),
    (0.40, 0.25, 0.13),
    (0.50, 0.38, 0.16),
    (0.30, 0.46, 0.26),
    (0.28, 0.50, 0.68),
    (0.45, 0.53, 0.58),
]
_CLOTH_SHADES = [
    (0.92, 0.90, 0.86),
    (0.24, 0.26, 0.31),
    (0.20, 0.29, 0.45),
    (0.37, 0.55, 0.71),
    (0.28, 0.52, 0.50),
    (0.44, 0.56, 0.38),
    (0.90, 0.74, 0.40),
    (0.84, 0.50, 0.32),
    (0.72, 0.28, 0.28),
    (0.86, 0.60, 0.62),
    (0.54, 0.42, 0.62),
    (0.58, 0.46, 0.37),
]
_BACKDROP_SHADES = [
    (0.93, 0.90, 0.84),
    (0.74, 0.84, 0.91),
    (0.70, 0.83, 0.80),
    (0.80, 0.86, 0.72),
    (0.96, 0.84, 0.70),
    (0.95, 0.78, 0.74),
    (0.83, 0.78, 0.90),
    (0.52, 0.64, 0.74),
    (0.45, 0.58, 0.56),
    (0.66, 0.56, 0.52),
    (0.40, 0.42, 0.52),
    (0.78, 0.80, 0.82),
]
_FRAME_SHADES = [
    (0.10, 0.10, 0.12),
    (0.36, 0.20, 0.12),
    (0.72, 0.56, 0.30),
    (0.62, 0.14, 0.18),
    (0.16, 0.28, 0.46),
    (0.85, 0.84, 0.82),
]


class Draws:
    """The random draws of one batch; every helper returns `[count]` or `[count, 3]`.

    A subclass that takes its numbers from elsewhere replaces `rand`, `randn` and `choose`.
    """

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count, self.generator = count, generator

    def rand(self) -> torch.Tensor:
        """Uniform in [0, 1), `[count]`."""
        return torch.rand(self.count, generator=self.generator)

    def randn(self, columns: int) -> torch.Tensor:
        """Standard normal, `[count, columns]`."""
        return torch.randn(self.count, columns, generator=self.generator)

    def choose(self, weights: Sequence[float] | torch.Tensor) -> torch.Tensor:
        """Codes drawn with probabilities proportional to `weights`, `[K]` or `[count, K]`."""
        return torch.multinomial(self.weights(weights), 1, generator=self.generator)[:, 0].float()

    def weights(self, weights: Sequence[float] | torch.Tensor) -> torch.Tensor:
        """Weights as float32 `[count, K]`."""
        weights = torch.as_tensor(weights, dtype=torch.float32)
        return weights.expand(self.count, -1) if weights.ndim == 1 else weights

    def uniform(self, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        return low + (high - low) * self.rand()

    def normal(
        self, mean: float | torch.Tensor = 0.0, scale: float = 0.45, low: float = -1, high: float = 1
    ) -> torch.Tensor:
        return (mean + scale * self.randn(1)[:, 0]).clamp(low, high)

    def happens(self, probability: float | torch.Tensor) -> torch.Tensor:
        return self.uniform() < probability

    def shade(
        self, shades: Sequence[Sequence[float]], weights: Sequence[float] | torch.Tensor | None = None
    ) -> torch.Tensor:
        table = torch.tensor(shades)
        code = self.choose([1.0] * len(shades) if weights is None else weights).long()
        jitter = 0.05 * self.randn(3)
        brightness = 0.06 * self.randn(1)
        return (table[code] * (1 + brightness + jitter)).clamp(0.02, 0.98)


def sample_attributes(
    count: int, seed: int | None = None, generator: torch.Generator | None = None
) -> dict[str, torch.Tensor]:
    """Draw attributes of `count` portraits from the distribution that the module's docstring describes.

    Args:
        count: number of portraits, at least 1.
        seed: same seed, same attributes; excludes `generator`.
        generator: a CPU generator to draw from; without both, a fresh random seed.

    Returns:
        All `ATTRIBUTES` as float32 CPU tensors `[count]`; categorical ones hold integer codes.

    Raises:
        InputError: `count` is below 1, or both `seed` and `generator` are given.
    """
    if count < 1:
        raise InputError(f"Cannot draw {count} portraits; ask for at least 1.")
    if seed is not None and generator is not None:
        raise InputError("Both a seed and a generator were given; give only one of them.")
    if generator is None:
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
    return draw_attributes(Draws(count, generator))


def draw_attributes(draws: "Draws") -> dict[str, torch.Tensor]:
    """All `ATTRIBUTES` of `draws.count` portraits, float32 `[count]`, from the given source of random numbers."""
    styling = draws.normal(torch.where(draws.happens(0.5), 0.6, -0.6), 0.45)
    drawn = _draw_pose_and_light(draws) | _draw_face(draws, styling)
    drawn |= _draw_hair(draws, styling, drawn["age"], drawn["skin_tone"])
    drawn |= _draw_accessories(draws, styling, drawn) | _draw_clothes_and_background(draws)
    return {name: drawn[name].float() for name in ATTRIBUTES}


def _components(name: str, colour: torch.Tensor) -> dict[str, torch.Tensor]:
    return {f"{name}_{part}": colour[:, i] for i, part in enumerate(("red", "green", "blue"))}


def _draw_pose_and_light(draws: Draws) -> dict[str, torch.Tensor]:
    return {
        "yaw": 35 * draws.normal(scale=0.5),
        "tilt": 12 * draws.normal(scale=0.4),
        "head_x": draws.normal(),
        "head_size": draws.normal(),
        "light_x": draws.uniform(-1, 1),
        "light_y": draws.normal(-0.2),
        "light_warmth": draws.normal(0.1),
    }


def _draw_face(draws: Draws, styling: torch.Tensor) -> dict[str, torch.Tensor]:
    tone, age = draws.uniform().pow(1.15), draws.uniform()
    happy = draws.happens(0.72)
    mouth_open = torch.where(draws.happens(0.4), draws.uniform(0.25, 1.0), torch.zeros(draws.count))
    mouth_open = torch.where(happy, mouth_open, 0.5 * mouth_open)
    dark = tone[:, None]
    eyes_of_light = torch.tensor([3.0, 3.0, 1.0, 1.2, 1.8, 1.0])
    eyes_of_dark = torch.tensor([5.0, 2.0, 0.4, 0.1, 0.1, 0.1])
    eye_weights = eyes_of_light * (1 - dark) + eyes_of_dark * dark
    return {
        "face_width": draws.normal(),
        "face_length": draws.normal(),
        "jaw": draws.normal(-0.35 * styling),
        "skin_tone": tone,
        "skin_undertone": draws.normal(0.1),
        "age": age,
        "blush": draws.uniform(),
        "eye_size": draws.normal(0.1 * styling),
        "eye_roundness": draws.normal(),
        "eye_slant": draws.normal(0.1),
        "eye_spacing": draws.normal(),
        "eye_openness": draws.normal(0.78, 0.2, 0),
        "gaze_x": draws.normal(scale=0.4),
        "gaze_y": draws.normal(scale=0.3),
        **_components("eye", draws.shade(_EYE_SHADES, eye_weights)),
        "lashes": draws.normal(0.4 + 0.3 * styling, 0.15, 0),
        "brow_thickness": draws.normal(-0.25 * styling),
        "brow_angle": draws.normal(-0.25),
        "brow_height": draws.normal(),
        "nose_size": draws.normal(),
        "nose_width": draws.normal(0.5 * tone - 0.25),
        "mouth_width": draws.normal(),
        "smile": torch.where(happy, draws.uniform(0.2, 1.0), draws.uniform(-0.6, 0.3)),
        "mouth_open": mouth_open,
        "lip_fullness": draws.normal(0.2 * styling + 0.4 * tone - 0.2 - 0.2 * age),
        "lip_tint": draws.normal(0.25 + 0.35 * styling, 0.25, 0),
        "lip_hue": draws.normal(),
        "ear_size": draws.normal(0.3 * age - 0.15),
    }


def _draw_hair(draws: Draws, styling: torch.Tensor, age: torch.Tensor, tone: torch.Tensor) -> dict[str, torch.Tensor]:
    # One weight per choice of `hair_style`, for the two ends of "styling".
    one = torch.tensor([1.3, 1.6, 3.0, 2.6, 0.5, 0.6, 0.6, 1.0, 0.7, 0.4, 0.3])
    other = torch.tensor([0.15, 0.3, 0.7, 1.2, 2.0, 2.2, 2.2, 1.5, 0.8, 1.4, 1.4])
    share = (styling[:, None] + 1) / 2
    weights = one * (1 - share) + other * share
    style = ATTRIBUTES["hair_style"].choices.index
    weights[:, style("bald")] *= 0.4 + 1.6 * age
    weights[:, style("afro")] *= 0.15 + 2.6 * tone
    weights[:, style("long straight")] *= 1.4 - 0.9 * tone
    light = 1 - tone[:, None]
    hair_of_light = torch.tensor([0.8, 1.2, 1.4, 1.3, 1.0, 1.2, 1.1])
    hair_of_dark = torch.tensor([3.5, 2.0, 1.0, 0.4, 0.15, 0.1, 0.1])
    shades = hair_of_light * light + hair_of_dark * (1 - light)
    colour = draws.shade(_HAIR_SHADES, shades)
    grey = draws.uniform(0.55, 0.92)[:, None] * torch.tensor([1.0, 0.985, 0.96])
    greying = draws.happens(((age - 0.45) * 1.9).clamp(0, 0.9))
    amount = torch.where(greying, draws.uniform(0.5, 1.0), torch.zeros(draws.count))
    colour = torch.lerp(colour, grey, amount[:, None])
    dyed = draws.happens(0.07)[:, None]
    colour = torch.where(dyed, draws.shade(_HAIR_DYES), colour)
    return {
        "hair_style": draws.choose(weights),
        "hair_length": draws.normal(),
        "hair_volume": draws.normal(),
        "hair_wave": draws.uniform(),
        "hair_part": draws.uniform(0.2, 1) * torch.where(draws.happens(0.5), 1.0, -1.0),
        **_components("hair", colour.clamp(0.02, 0.98)),
        "fringe": draws.choose([0.5, 0.2, 0.3]),
    }


def _draw_accessories(draws: Draws, styling: torch.Tensor, drawn: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    beard_share = ((0.35 - styling) * 0.55).clamp(0, 0.62)[:, None]
    beards = torch.cat([1 - beard_share, beard_share * torch.tensor([0.28, 0.38, 0.16, 0.18])], dim=1)
    glasses_share = (0.2 + 0.2 * drawn["age"])[:, None]
    tall = [ATTRIBUTES["hair_style"].choices.index(style) for style in ("afro", "bun")]
    hat_share = torch.where(torch.isin(drawn["hair_style"], torch.tensor(tall)), 0.0, 0.24)[:, None]
    earring_weights = torch.stack([1.1 - styling, 0.12 + 0.3 * (styling + 1), 0.06 + 0.3 * (styling + 1)], dim=1)
    return {
        "beard": draws.choose(beards),
        "glasses": draws.choose(torch.cat([1 - glasses_share, glasses_share * 0.5, glasses_share * 0.5], dim=1)),
        **_components("glasses", draws.shade(_FRAME_SHADES, [3, 1.5, 1, 0.7, 0.7, 0.5])),
        "hat": draws.choose(torch.cat([1 - hat_share, hat_share * torch.tensor([0.4, 0.3, 0.3])], dim=1)),
        **_components("hat", draws.shade(_CLOTH_SHADES)),
        "earrings": draws.choose(earring_weights),
        "earring_gold": torch.where(draws.happens(0.6), draws.uniform(0.8, 1), draws.uniform(0, 0.2)),
        "neck_width": draws.normal(-0.35 * styling),
        "shoulder_width": draws.normal(-0.25 * styling),
    }


def _draw_clothes_and_background(draws: Draws) -> dict[str, torch.Tensor]:
    sign = torch.where(draws.happens(0.5), 1.0, -1.0)
    return {
        "clothes": draws.choose([0.28, 0.2, 0.2, 0.14, 0.18]),
        **_components("clothes", draws.shade(_CLOTH_SHADES)),
        "pattern": draws.choose([0.58, 0.18, 0.12, 0.12]),
        "pattern_contrast": sign * draws.uniform(0.45, 1),
        "background": draws.choose([0.25, 0.35, 0.2, 0.2]),
        **_components("background", draws.shade(_BACKDROP_SHADES)),
        **_components("background2", draws.shade(_BACKDROP_SHADES)),
        "background_x": draws.uniform(-1, 1),
        "background_y": draws.uniform(-1, 1),
    }
