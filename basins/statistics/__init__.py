"""Exact intervals of counts."""
