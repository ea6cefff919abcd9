"""Rotate a Docker Compose application between two colors, and prove that nothing was dropped."""
