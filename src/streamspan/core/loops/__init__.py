"""Finds loops in streamed text."""
