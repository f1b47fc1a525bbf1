"""What natively batched envs share."""

from pymarl.envs.native.stamp import compiled_since, source_stamp

__all__ = ["compiled_since", "source_stamp"]
