"""Hosts: a look at one, and a session on one, under its lock."""
