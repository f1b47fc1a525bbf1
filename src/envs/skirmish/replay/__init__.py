"""Replay files: written, read, and shown as pages, GIFs and films."""
