"""Checkers of chapter 16."""
