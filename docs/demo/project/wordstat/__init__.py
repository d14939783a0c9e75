"""Says what a text is made of."""
