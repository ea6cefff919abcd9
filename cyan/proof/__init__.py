"""Acts under load, evidence, checks, verdict, report. Imports nothing of `cyan.rollout`."""
