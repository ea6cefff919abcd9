"""What runs inside Locust: the witness client, the journeys, the open schedule, its log."""
