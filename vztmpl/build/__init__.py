"""Building templates: a recipe becomes a tree, the tree a template."""
