"""Checkers of chapter 14."""
