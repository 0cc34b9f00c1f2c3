-- What a study waits for: its associations, and quiet.

-- name: end_associations
WITH gone AS (
  DELETE FROM catalogue_openassociation WHERE association_id = ANY(%(association_ids)s::uuid[]) RETURNING study_id
)
SELECT DISTINCT g.study_id FROM gone g
WHERE NOT EXISTS (
  SELECT FROM catalogue_openassociation o
  WHERE o.study_id = g.study_id AND o.association_id <> ALL(%(association_ids)s::uuid[])
)
ORDER BY 1

-- name: end_slots
WITH gone AS (
  DELETE FROM catalogue_openassociation WHERE slot = ANY(%(slots)s::text[]) RETURNING study_id
)
SELECT DISTINCT g.study_id FROM gone g
WHERE NOT EXISTS (
  SELECT FROM catalogue_openassociation o WHERE o.study_id = g.study_id AND o.slot <> ALL(%(slots)s::text[])
)
ORDER BY 1

-- name: awaited
SELECT s.id, s.last_indexed_at, EXISTS (
  SELECT FROM catalogue_openassociation o WHERE o.study_id = s.id AND s.last_indexed_at > %(stale_since)s
)
FROM catalogue_study s
WHERE s.id = ANY(%(study_ids)s::bigint[])
ORDER BY s.id
