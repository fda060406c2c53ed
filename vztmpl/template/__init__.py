"""What a template is: its name, archive, manifest, signature, and the index that lists it."""
