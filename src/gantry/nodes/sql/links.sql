-- What all work towards a node shares.

-- name: ensure_link
INSERT INTO nodes_link (node_id, tokens, filled_at)
SELECT id, 0, clock_timestamp() FROM nodes_node WHERE id = %(node_id)s
ON CONFLICT (node_id) DO NOTHING

-- name: take_tokens
-- An instance goes while anything is left, so the bucket may go far below zero; a clock that jumps fills it at most once.
WITH bucket AS (
    SELECT node_id,
           LEAST(%(burst)s::float8,
                 tokens + %(rate)s::float8
                 * GREATEST(0, extract(epoch FROM clock_timestamp() - COALESCE(filled_at, clock_timestamp())))::float8) AS tokens
    FROM nodes_link WHERE node_id = %(node_id)s
    FOR UPDATE
)
UPDATE nodes_link link
SET tokens = bucket.tokens - CASE WHEN bucket.tokens > 0 OR %(urgent)s THEN %(size)s::float8 ELSE 0 END,
    filled_at = clock_timestamp()
FROM bucket WHERE link.node_id = bucket.node_id
RETURNING bucket.tokens > 0 OR %(urgent)s, link.tokens

-- name: probe_anew
-- Only one that has a profile: somebody has probed it.
INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args)
SELECT 'nodes', 'gantry.nodes.work.probe_again', 'probe-' || id, jsonb_build_object('node_id', id)
FROM nodes_node
WHERE id = %(node_id)s AND removed_at IS NULL AND profile IS NOT NULL
  AND COALESCE(profiled_at, '-infinity') < now() - make_interval(secs => %(least_seconds)s)
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING

-- name: note_rate
-- What was seen of the speed, smoothed: half of it is new.
INSERT INTO nodes_link (node_id, tokens, filled_at, rate, rate_at, parallel)
SELECT id, 0, now(), %(rate)s, now(), %(parallel)s FROM nodes_node WHERE id = %(node_id)s
ON CONFLICT (node_id) DO UPDATE
SET rate = CASE WHEN nodes_link.rate IS NULL OR nodes_link.rate_at < now() - interval '1 hour' THEN EXCLUDED.rate
                ELSE (nodes_link.rate + EXCLUDED.rate) / 2 END,
    rate_at = now(), parallel = EXCLUDED.parallel
