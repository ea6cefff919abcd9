"""`inv bench`: ways to deploy, side by side, under one witness."""
