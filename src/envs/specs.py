"""What an env gives and takes."""

from pymarl.envs.multiagentenv import EnvInfo

__all__ = ["EnvInfo"]
