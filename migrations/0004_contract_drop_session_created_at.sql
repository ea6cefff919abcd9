-- cyan: requires public.cyan_demo
-- No release has ever read when a session was made.
ALTER TABLE sessions DROP COLUMN created_at;
