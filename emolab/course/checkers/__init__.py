"""The checkers of each chapter's exercises; importing this registers all of them."""

from emolab.course.checkers import (  # noqa: F401
    c00,
    c01,
    c02,
    c03,
    c04,
    c05,
    c06,
    c07,
    c08,
    c09,
    c10,
    c11,
    c12,
    c13,
    c14,
    c15,
    c16,
    c17,
    c18,
)
