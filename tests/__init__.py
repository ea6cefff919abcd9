"""The tests, mirroring cyan/."""
