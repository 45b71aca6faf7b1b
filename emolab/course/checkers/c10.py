"""Checkers of chapter 10."""
