"""A fingerprint of the kernels' sources: compiled code of other ones is not used again."""

from pathlib import Path

from pymarl.utils.stamp import source_stamp

SOURCES = (Path(__file__).parent,)
STAMP = source_stamp(*SOURCES)
