-- The ledger by study and by destination, for people. Two queries a page, whatever its size.

-- name: studies
-- Newest study first; the planner goes by study (index delivery_of_study) or, for what is rare, by status.
SELECT s.id
FROM catalogue_study s
WHERE (%(before)s::bigint IS NULL OR s.id < %(before)s::bigint)
  AND (%(study_uid)s::text IS NULL OR s.study_instance_uid = %(study_uid)s::text)
  AND /* seen */ TRUE
  AND EXISTS (SELECT FROM transfers_delivery d WHERE d.study_id = s.id AND /* wanted */ TRUE)
ORDER BY s.id DESC
LIMIT %(limit)s

-- name: groups
SELECT g.study_id AS study_row, g.node_id AS node_row, n.name AS node, n.kind, n.enabled, n.breaker, n.removed_at IS NOT NULL AS node_removed,
       g.waiting, g.sent, g.confirmed, g.failed, g.dead, g.cancelled, g.held, g.away,
       g.attempts, g.priority, g.ordered_at, g.confirmed_at, g.rule_names, g.hold_reason,
       last.created_at AS last_ordered_at, last.rule_name AS last_rule_name, last.origin AS last_origin,
       CASE WHEN last.origin = 'move' THEN last.move_aet ELSE last.ordered_by END AS last_ordered_by,
       CASE WHEN g.next_attempt_at IS NOT NULL THEN GREATEST(g.next_attempt_at, n.retry_at) END AS next_attempt_at,
       COALESCE(NULLIF(g.error, ''), CASE WHEN g.waiting + g.failed > 0 THEN n.last_error END, '') AS error
FROM (
    SELECT d.study_id, d.node_id,
           count(*) FILTER (WHERE d.newest AND d.status = 'waiting') AS waiting, count(*) FILTER (WHERE d.newest AND d.status = 'sent') AS sent,
           count(*) FILTER (WHERE d.newest AND d.status = 'confirmed') AS confirmed, count(*) FILTER (WHERE d.newest AND d.status = 'failed') AS failed,
           count(*) FILTER (WHERE d.newest AND d.status = 'dead') AS dead, count(*) FILTER (WHERE d.newest AND d.status = 'cancelled') AS cancelled,
           count(*) FILTER (WHERE d.newest AND d.status = 'held') AS held, count(*) FILTER (WHERE d.newest AND d.status = 'away') AS away,
           max(d.attempts) AS attempts, max(d.priority) AS priority,
           min(d.created_at) AS ordered_at, max(d.id) AS last_id, max(d.confirmed_at) AS confirmed_at,
           min(d.next_attempt_at) FILTER (WHERE d.status IN ('waiting', 'failed')) AS next_attempt_at,
           (array_agg(DISTINCT d.rule_name))[1:20] AS rule_names,
           COALESCE(max(d.hold_reason) FILTER (WHERE d.status IN ('held', 'cancelled')), '') AS hold_reason,
           max(d.error) FILTER (WHERE d.status IN ('failed', 'dead')) AS error
    FROM (
        -- What was sent again has a row for each time: the newest one counts. A C-MOVE counts where nothing else was ordered.
        SELECT d.*, row_number() OVER (
            PARTITION BY d.study_id, d.node_id, d.version_id ORDER BY d.origin = 'move', d.id DESC
        ) = 1 AS newest
        FROM transfers_delivery d
        WHERE d.study_id = ANY(%(study_ids)s::bigint[]) AND /* in group */ TRUE
    ) d
    GROUP BY d.study_id, d.node_id
    HAVING /* has status */ TRUE
) g
JOIN nodes_node n ON n.id = g.node_id
JOIN transfers_delivery last ON last.id = g.last_id
ORDER BY g.study_id DESC, n.name, n.id

-- name: shown_studies
SELECT s.id, s.study_instance_uid, p.patient_id, p.issuer_of_patient_id, p.patient_name, p.patient_birth_date,
       p.patient_sex, s.study_date, s.study_time, s.accession_number, s.study_id, s.study_description,
       s.referring_physician_name, s.institution_name, s.modalities, s.series_count, s.instance_count, s.size_bytes,
       s.conflict_count, s.first_received_at, s.last_received_at, s.settled_at, /* level */ 'full' AS patient_level
FROM catalogue_study s
JOIN catalogue_patient p ON p.id = s.patient_id
WHERE s.id = ANY(%(study_ids)s::bigint[])

-- name: nodes_of_name
SELECT id FROM nodes_node WHERE name = ANY(%(names)s::text[])

-- name: errors
-- Of the newest that failed or were given up: what went wrong, and how often. Both ends are bounded.
SELECT last.status, last.error, last.dimse_status, count(*) AS count, max(last.updated_at) AS last_at
FROM (
    SELECT d.status, d.error, d.dimse_status, d.updated_at FROM transfers_delivery d
    WHERE d.node_id = %(node_id)s AND d.status IN ('failed', 'dead') AND /* seen */ TRUE
    ORDER BY d.id DESC LIMIT 2000
) last
GROUP BY last.status, last.error, last.dimse_status
ORDER BY max(last.updated_at) DESC, count(*) DESC
LIMIT 20

-- name: traffic
-- What came and went in the last seconds. Facts and batches have an index each; confirmed_at has a BRIN.
SELECT 'received' AS way, count(*) AS instances, COALESCE(sum(v.dataset_bytes), 0)::bigint AS bytes,
       COALESCE(GREATEST(0, max(extract(epoch FROM v.indexed_at - v.received_at))), 0)::float8 AS lag
FROM (
    SELECT (f.payload ->> 'batch_id')::uuid AS id FROM facts_fact f
    WHERE f.kind = 'Arrived' AND f.created_at >= now() - make_interval(secs => %(seconds)s::float8)
) batch
JOIN catalogue_version v ON v.batch_id = batch.id
UNION ALL
SELECT 'forwarded', count(*), COALESCE(sum(v.dataset_bytes), 0)::bigint, 0
FROM transfers_delivery d
JOIN catalogue_version v ON v.id = d.version_id
WHERE d.confirmed_at >= now() - make_interval(secs => %(seconds)s::float8)
