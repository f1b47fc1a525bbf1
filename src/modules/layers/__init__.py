"""Layers that several agents share."""
