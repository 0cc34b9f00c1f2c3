-- name: insert_facts
INSERT INTO facts_fact (kind, payload, created_at)
SELECT kind, payload::jsonb, now()
FROM unnest(%(kinds)s::text[], %(payloads)s::text[]) AS fact (kind, payload)
RETURNING id

-- name: notify
SELECT pg_notify(%(channel)s, %(message)s)
