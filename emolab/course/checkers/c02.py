"""Checkers of chapter 02."""
