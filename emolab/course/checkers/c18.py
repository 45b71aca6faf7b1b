"""Checkers of chapter 18."""
