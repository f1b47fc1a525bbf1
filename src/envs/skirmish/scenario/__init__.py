"""What is fought: maps and unit types from YAML, and the arrays made of them for the kernels."""
