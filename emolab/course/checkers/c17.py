"""Checkers of chapter 17."""
