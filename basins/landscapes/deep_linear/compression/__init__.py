"""Compression: exact smaller coordinates of a state (theory.md 4).

states.py has the compressed states, frames.py their orthonormal frames, factors.py Gaussian starts that are drawn in
compressed form, and chi.py the chi-distributed numbers on the diagonals of those.
"""

from basins.landscapes.deep_linear.compression.states import Compression, compressed_widths, compression

__all__ = ["Compression", "compressed_widths", "compression"]
