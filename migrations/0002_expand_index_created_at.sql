-- cyan: requires public.cyan_demo
-- Orders are asked for by time. Built beside the traffic, so it stands alone and in no transaction.
CREATE INDEX CONCURRENTLY orders_created_at ON orders (created_at);
