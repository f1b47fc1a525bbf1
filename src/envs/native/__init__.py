"""What natively batched envs share."""

from envs.native.stamp import source_stamp

__all__ = ["source_stamp"]
