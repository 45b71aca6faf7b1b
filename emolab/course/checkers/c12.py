"""Checkers of chapter 12."""
