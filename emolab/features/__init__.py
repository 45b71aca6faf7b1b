"""What a model sees: features of sound and words, cached on disk."""
