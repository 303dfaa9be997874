"""Texts and pictures in one space: encoders, what a text asks of a style code, and which region it is about."""
