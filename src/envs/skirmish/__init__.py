"""SMAC's battles without StarCraft II. Batched, compiled with numba."""
