"""The relay before the site: it adds a round trip, and plants what calibration must find."""
