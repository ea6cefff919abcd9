"""What is deployed: releases, and what their containers are given."""
