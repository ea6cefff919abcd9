"""An application as it is: what cyan makes of somebody's compose.yaml, and what it must ask."""
