"""What can be said about a portrait in a few words, and of which portraits it is true.

A caption (`sfhub.portraits.captions`) says everything in one sentence, always the same one. People ask for less: "sad",
"a green hat", "curly red hair". A *statement* is one such thing with all its wordings and the attributes that make it
true; `sfhub.portraits.phrases` puts them into words. A text encoder learns from them (`sfhub.training.clip`), and they
tell whether an edit did what its text asked for (`scripts/evaluate_text.py`). Some statements are unclear of some
portraits: hair between two colours, a face of middle width.
"""

import torch
from torch import Tensor

from sfhub.portraits.statement import FALSE, TRUE, UNCLEAR, Attributes, Statement
from sfhub.portraits.statements_of_faces import about_eyes, about_faces, about_hair, about_mouths
from sfhub.portraits.statements_of_things import (
    about_backgrounds,
    about_clothes,
    about_the_whole,
    about_things_worn,
)

__all__ = ["FALSE", "STATEMENTS", "TRUE", "UNCLEAR", "Statement", "truths"]

STATEMENTS: dict[str, Statement] = {
    statement.name: statement
    for statement in [
        *about_hair(),
        *about_eyes(),
        *about_mouths(),
        *about_faces(),
        *about_things_worn(),
        *about_clothes(),
        *about_backgrounds(),
        *about_the_whole(),
    ]
}
"""All statements by name."""


def truths(attributes: Attributes) -> Tensor:
    """Which statements are true of portraits.

    Args:
        attributes: all of them, by name, `[B]` (`sample_attributes`, `attributes_from_vector`).

    Returns:
        int8 `[B, len(STATEMENTS)]`: TRUE, FALSE or UNCLEAR.
    """
    return torch.stack([statement.truth(attributes) for statement in STATEMENTS.values()], dim=1)
