"""Formulas of learning rules: trees that print as LaTeX and as text, and evaluate in NumPy."""
