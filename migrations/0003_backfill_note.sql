-- cyan: requires public.cyan_demo
-- Old orders get an empty note: repeated, a batch at a time, until no row is left.
UPDATE orders SET note = ''
WHERE id IN (SELECT id FROM orders WHERE note IS NULL ORDER BY id LIMIT 2000);
