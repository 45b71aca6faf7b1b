"""Checkers of chapter 08."""
