"""Checkers of chapter 07."""
