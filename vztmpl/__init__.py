"""OS templates from recipes, and virtual environments from OS templates."""

__version__ = "0.1.0"
