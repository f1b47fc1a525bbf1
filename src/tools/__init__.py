"""Commands beside `main.py`."""
