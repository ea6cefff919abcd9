"""Runs whose acts are drawn from a catalogue of faults; each must leave what it should."""
