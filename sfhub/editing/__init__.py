"""Edits of style codes: plain tensor arithmetic on S, no generator needed."""
