-- name: insert_facts
INSERT INTO facts_fact (kind, payload, created_at)
SELECT kind, payload::jsonb, now()
FROM unnest(%(kinds)s::text[], %(payloads)s::text[]) AS fact (kind, payload)
RETURNING id

-- name: notify
SELECT pg_notify(%(channel)s, %(message)s)

-- name: is_numbered
SELECT NOT EXISTS (SELECT 1 FROM facts_fact WHERE position IS NULL)

-- name: lock_numbering
-- "feed" in ASCII. In a statement of its own: the next one must see what the last holder committed.
SELECT pg_advisory_xact_lock(1717921124)

-- name: number
UPDATE facts_fact AS fact SET position = numbered.position
FROM (
    SELECT waiting.id, (SELECT coalesce(max(position), 0) FROM facts_fact) + row_number() OVER (ORDER BY waiting.id) AS position
    FROM (SELECT id FROM facts_fact WHERE position IS NULL ORDER BY id LIMIT %(limit)s) AS waiting
) AS numbered
WHERE fact.id = numbered.id

-- name: feed
SELECT position, kind, payload::text, created_at FROM facts_fact
WHERE position > %(after)s AND kind = ANY (%(kinds)s::text[])
ORDER BY position LIMIT %(limit)s

-- name: ends
SELECT coalesce(min(position), 0), coalesce(max(position), 0) FROM facts_fact

-- name: prune
-- The newest stays: it holds the place where the numbering goes on.
DELETE FROM facts_fact WHERE created_at < %(before)s
    AND (position IS NULL OR position < (SELECT max(position) FROM facts_fact))
