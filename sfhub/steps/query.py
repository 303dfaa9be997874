"""Settings for the queries of Editing in Style, as recipes hold them."""

from collections.abc import Mapping
from typing import Any

from sfhub.errors import InputError, short
from sfhub.steps.checks import is_number, is_text

__all__ = ["BEST", "Query", "check_query", "query_settings"]

Query = Mapping[str, str | float] | None
"""Settings for `RegionCatalog.query_by`; None for the query of each region that was measured to be best."""

BEST = "catalog"
"""What users call the method that takes those queries, whatever relevance they are made from."""


def query_settings(method: str, settings: Mapping[str, str | float]) -> Query:
    """The settings that a user's method and keywords stand for.

    Raises:
        InputError: as `check_query`.
    """
    found = {name: value if isinstance(value, str) else float(value) for name, value in settings.items()}
    return check_query(found if method == BEST else {"method": method, **found}) or None


def check_query(settings: Any) -> Query:
    """Settings for `RegionCatalog.query_by` as they came in.

    Raises:
        InputError: unless they are a few named numbers, and words for `method` and `mode`.
    """
    if settings is None:
        return None
    fine = isinstance(settings, dict) and len(settings) <= 8
    if not fine or not all(
        is_text(value) if key in ("method", "mode") else key != "region" and is_number(value, -1e6, 1e6)
        for key, value in settings.items()
    ):
        raise InputError(
            f"The query settings {short(settings)} cannot be used; give method and mode as words and their parameters "
            "as numbers, as RegionCatalog.query takes them."
        )
    return settings
