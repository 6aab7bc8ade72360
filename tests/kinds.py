"""Five flowers of two kinds: the data file of tests that need one."""

from __future__ import annotations

CSV = """\
width,height,kind
1.0,2.0,a
2.0,1.0,b
0.5,3.0,a
4.0,0.25,b
3.0,3.5,a
"""
