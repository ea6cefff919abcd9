"""The catalogue's entries, by what they hit."""
