"""A stand-in for StarCraft II: speaks its API over a websocket, as far as SMAC needs it, with skirmish as the game."""

from pymarl.utils.protobuf import use_fast_backend

use_fast_backend()  # before anything here imports s2clientprotocol
