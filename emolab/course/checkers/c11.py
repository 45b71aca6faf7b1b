"""Checkers of chapter 11."""
