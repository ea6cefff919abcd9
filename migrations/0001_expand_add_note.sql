-- cyan: requires public.cyan_demo
-- New orders may carry a note. Releases that do not know the column go on as before: it is nullable,
-- and its default is written into the catalogue, not into the rows.
ALTER TABLE orders ADD COLUMN note text;
ALTER TABLE orders ALTER COLUMN note SET DEFAULT '';
