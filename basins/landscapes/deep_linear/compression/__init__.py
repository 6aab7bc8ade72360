"""States without what the flow cannot tell apart: what a compression keeps (states.py), its orthonormal frames
(frames.py), and Gaussian starts drawn compressed (factors.py), whose diagonals are chi numbers (chi.py)."""

from basins.landscapes.deep_linear.compression.states import Compression, compressed_widths, compression

__all__ = ["Compression", "compressed_widths", "compression"]
