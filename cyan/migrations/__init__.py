"""The database follows the releases: expand, backfill, contract."""
