"""What moves the traffic between the colors, and counts it."""
