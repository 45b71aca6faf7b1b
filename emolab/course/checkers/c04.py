"""Checkers of chapter 04."""
