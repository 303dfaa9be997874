"""The named attributes of a portrait, what hides them, and their form as a regression target.

Every portrait is a function of the attributes below and of nothing else. Continuous attributes hold real numbers in a
closed range, categorical ones integer codes into `choices`. Colours are stored as red, green, blue components, never
as a hue angle, so that they can be regressed. Under a horizontal mirror the attributes marked `odd` change sign and
all others stay; the distribution (`sfhub.portraits.distribution`) is symmetric under that map.
"""

import difflib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

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
    "check_attributes",
    "flip_attributes",
    "hiding_reasons",
    "reason_to_hide",
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
    _real("tilt", -10, 10, 0, "roll in degrees that alignment leaves; positive leans to the right", odd=True),
    _real("head_x", -1, 1, 0, "horizontal shift that alignment leaves", odd=True),
    _real("head_size", -1, 1, 0, "difference in size that alignment leaves"),
    _real("light_x", -1, 1, 0.4, "light from the left (-1) or right (1) of the picture", odd=True),
    _real("light_y", -1, 1, 0, "light from high (-1) or low (1)"),
    _real("light_warmth", -1, 1, 0, "cool (-1) to warm (1) light"),
    _real("face_width", -1, 1, 0, "narrow to wide face"),
    _real("face_length", -1, 1, 0, "short to long lower face"),
    _real("jaw", -1, 1, 0, "pointed to square jaw"),
    _real("skin_tone", 0, 1, 0.35, "very light (0) to very dark (1)"),
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


EARS_FREE = ("bald", "buzz", "short", "side-swept", "afro", "bun", "ponytail")
"""Hair styles that leave the ears free."""

LENGTHS = ("bob", "long straight", "long wavy", "curly", "ponytail")
"""Hair styles that are longer or shorter within the style."""

Truth = TypeVar("Truth")
"""1 for true and 0 for false, as a tensor or anything else that adds up; see `hiding_reasons`."""


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

    def is_one_of(name: str, *choices: str) -> torch.Tensor:
        codes = torch.tensor([ATTRIBUTES[name].choices.index(choice) for choice in choices])
        return torch.isin(values[name], codes.to(values[name])).float()

    shown = torch.ones_like(values["yaw"])
    reasons = hiding_reasons(is_one_of)
    columns = [reason_to_hide(name, reasons) for name in ATTRIBUTE_VECTOR_NAMES]
    return torch.stack([shown if count is None else (count == 0).float() for count in columns], dim=1)


def hiding_reasons(is_one_of: Callable[..., Truth]) -> dict[str, Truth]:
    """How many reasons there are why a picture cannot show a column of `attribute_vector`.

    The one place that says what hides what: of given portraits for `attribute_visibility`, of all portraits, as a
    function of their latents, for the attribute code (`sfhub.portraits.latents`).

    Args:
        is_one_of: given the name of an attribute and some of its choices, 1 where it is one of them, else 0.

    Returns:
        The number by the beginning of a column's name; columns that are not named are always seen.
    """
    shaven = is_one_of("hair_style", "bald", "buzz")
    no_hat, flat = is_one_of("hat", "none"), is_one_of("background", "flat")
    return {
        "hat_": no_hat,
        "glasses_": is_one_of("glasses", "none"),
        "earring_gold": is_one_of("earrings", "none"),
        "pattern_contrast": is_one_of("pattern", "plain"),
        "background2_": flat,
        "background_x": flat,
        "background_y": flat,
        "hair_length": 1 - is_one_of("hair_style", *LENGTHS),
        "hair_volume": shaven,
        "hair_part": shaven,
        "ear_size": 1 - is_one_of("hair_style", *EARS_FREE),
        "fringe=": shaven + is_one_of("hair_style", "afro") + 1 - no_hat,
    }


def reason_to_hide(column: str, reasons: Mapping[str, Truth]) -> Truth | None:
    """The entry of `hiding_reasons` that a column of `attribute_vector` belongs to, None if it is always seen."""
    return next((count for start, count in reasons.items() if column.startswith(start)), None)
