"""Look at the world, plan, run the steps: deploy and rollback are the same code."""
