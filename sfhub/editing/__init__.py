"""Codes in, code out: every way of making a style code from others, as pure arithmetic that all callers share."""
