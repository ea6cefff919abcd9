"""How an order is written, in one statement with its job, and how the proof's plants write it."""

from __future__ import annotations

JOB = "WITH job AS (INSERT INTO jobs (payload) VALUES (%(id)s)) "
DONE_TWICE = """
    WITH job AS (
        INSERT INTO jobs (payload, state, done_at) VALUES (%(id)s, 'done', now()) RETURNING id
    ), runs AS (
        INSERT INTO job_runs (job_id, worker, color, version)
        SELECT id, 'planted', %(color)s, %(version)s FROM job, generate_series(1, 2)
    )
"""
ORDER = (
    "INSERT INTO orders (request_id, item, quantity, color, version) "
    "SELECT %(id)s, %(item)s, %(quantity)s, %(color)s, %(version)s FROM generate_series(1, {}) "
    "RETURNING id"
)

ORDERS = {
    "": JOB + ORDER.format(1),
    "lost-write": "SELECT 0",
    "double-write": JOB + ORDER.format(2),
    "lost-job": ORDER.format(1),
    "double-job": DONE_TWICE + ORDER.format(1),
}
"""By what `common.planted` says of the request."""
