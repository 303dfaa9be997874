"""A cache for many visitors at once."""

import threading
from collections.abc import Callable, Hashable
from typing import Any

from cachetools import LRUCache

__all__ = ["Cache"]


class Cache:
    """A dictionary of limited size that forgets what was used longest ago; safe to share between threads."""

    def __init__(self, capacity: int):
        self._values = LRUCache(capacity)
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """The value of `key`, or None."""
        with self._lock:
            return self._values.get(key)

    def put(self, key: Hashable, value: Any) -> Any:
        """Set the value of `key` and return it."""
        with self._lock:
            self._values[key] = value
        return value

    def get_or(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The value of `key`, never None; if there is none, `make` gives it."""
        found = self.get(key)
        return self.put(key, make()) if found is None else found
