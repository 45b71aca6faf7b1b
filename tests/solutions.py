"""Puts the solutions of a chapter's exercises into it: each is checked untouched first, then solved."""

from __future__ import annotations

import re

import nbformat
from nbformat import NotebookNode

SOLUTION = re.compile(r"<summary>Solution</summary>\s*```python\n(.*?)```", re.DOTALL)


def exercises_of(notebook: NotebookNode) -> list[tuple[int, int, str]]:
    """Return of each exercise the places of its cell and of its checker's cell, and its solution."""
    cells, found = notebook.cells, []
    for place, cell in enumerate(cells):
        if "exercise" in cell.metadata.get("tags", []):
            checker, prose = place + 1, cells[place + 2].source
            assert "check" in cells[checker].metadata.get("tags", []), f"cell {place}: no cell tagged check after it"
            (solution,) = SOLUTION.findall(prose)
            found.append((place, checker, solution))
    return found


def with_solutions(notebook: NotebookNode) -> NotebookNode:
    """Return a copy in which each exercise, after it was checked as it is, is solved, checked and made bare again."""
    cells: list[NotebookNode] = list(notebook.cells)
    for place, checker, solution in reversed(exercises_of(notebook)):
        again = [nbformat.v4.new_code_cell(source) for source in (solution, cells[checker].source, cells[place].source)]
        again[1].metadata["tags"] = ["solved"]
        cells[checker + 1 : checker + 1] = again
    return NotebookNode({**notebook, "cells": cells})
