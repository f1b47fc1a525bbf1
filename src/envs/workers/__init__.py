"""Any PyMARL env as a batched one, in worker processes; the face is `worker_envs.py`."""
