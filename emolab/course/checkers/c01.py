"""Checkers of chapter 01."""
