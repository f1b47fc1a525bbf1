"""What batched envs compiled with numba share."""
