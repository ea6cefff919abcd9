"""Tests of the proof: synthetic runs, planted drops."""
