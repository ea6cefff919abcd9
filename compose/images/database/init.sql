-- What the demo's migrations ask for: they run on no database but this one.
CREATE TABLE cyan_demo ();

-- The demo's tables. The ledgers have no unique constraint: a double write could not be seen.
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    request_id text NOT NULL,
    item text NOT NULL,
    quantity integer NOT NULL,
    color text NOT NULL,
    version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX orders_request_id ON orders (request_id);

CREATE TABLE sessions (
    token text PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE jobs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state text NOT NULL DEFAULT 'queued',
    payload text NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz
);
CREATE INDEX jobs_queued ON jobs (id) WHERE state = 'queued';

CREATE TABLE job_runs (
    job_id bigint NOT NULL,
    worker text NOT NULL,
    color text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
