"""Settings from the command line."""

from dataclasses import dataclass, field

import pytest

from sfhub.errors import InputError
from sfhub.training.settings import choose_preset, with_settings


@dataclass
class Config:
    images: int = 10
    name: str = "a"
    widths: tuple[int, ...] = (1, 2)
    channels: dict[str, int] = field(default_factory=dict)


def test_values_are_json_text_or_lists():
    changed = with_settings(Config(), ["images=20", "name=other", "widths=[3]", 'channels={"4": 8}'])
    assert changed == Config(20, "other", (3,), {"4": 8})
    assert with_settings(Config(), []) == Config()


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("imags=20", "There is no setting 'imags'; choose among channels, images, name, widths"),
        ("images", "'images' sets nothing; give NAME=VALUE"),
        ("images=many", "The setting images is a number, 10 if not set, and 'many' is none"),
    ],
)
def test_what_sets_nothing_is_refused_in_one_sentence(pair, message):
    with pytest.raises(InputError, match=message):
        with_settings(Config(), [pair])


def test_an_unknown_preset_is_named_with_those_there_are():
    assert choose_preset({"small": 1}, "small") == 1
    with pytest.raises(InputError, match="There is no preset 'big'; choose one of small"):
        choose_preset({"small": 1}, "big")
