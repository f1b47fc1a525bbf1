"""A stand-in for StarCraft II: speaks its API over a websocket, as far as SMAC needs it, with skirmish as the game."""
