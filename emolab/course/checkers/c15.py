"""Checkers of chapter 15."""
