"""The demo application, as far as it runs without its web framework."""
