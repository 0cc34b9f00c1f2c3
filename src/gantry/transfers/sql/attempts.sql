-- What came of attempts that were no success. A success stands in its delivery, so sending well writes nothing here.
-- One row for all instances of a study that met the same within five minutes at their n-th attempt.

-- name: node_silent
-- Asked for a sign of life in vain: one row for each pause of the node and each reason.
INSERT INTO transfers_attempt AS a (node_id, key, number, outcome, error, count, dead, delivery_ids, began_at, ended_at)
SELECT n.id, md5(COALESCE(n.breaker_since, now())::text || '|' || %(error)s)::uuid, 0, 'silent', %(error)s, 1, 0, '{}', now(), now()
FROM nodes_node n WHERE n.id = %(node_id)s
ON CONFLICT (study_id, node_id, key) DO UPDATE SET count = a.count + 1, ended_at = EXCLUDED.ended_at

-- name: trim
-- The newest of each study and node (of the node alone: study null) stay.
DELETE FROM transfers_attempt a
USING (SELECT DISTINCT study_id FROM unnest(%(study_ids)s::bigint[]) AS wanted (study_id)) touched
WHERE a.node_id = %(node_id)s AND a.study_id IS NOT DISTINCT FROM touched.study_id AND a.id <= (
    SELECT o.id FROM transfers_attempt o WHERE o.node_id = %(node_id)s AND o.study_id IS NOT DISTINCT FROM touched.study_id
    ORDER BY o.id DESC OFFSET %(keep)s LIMIT 1
)

-- name: forget
DELETE FROM transfers_attempt WHERE id IN (
    SELECT id FROM transfers_attempt WHERE ended_at < now() - make_interval(days => %(days)s) LIMIT %(limit)s
)

-- name: of_study
-- What was kept; the successes, from the ledger, as many together as were sent at the same attempt within a quarter of an
-- hour; and when the node gave no sign of life while something of the study waited for it.
WITH goal AS (
    SELECT d.node_id, min(d.created_at) AS since, bool_or(d.status IN ('waiting', 'failed', 'sent', 'away')) AS open,
           max(COALESCE(d.confirmed_at, d.updated_at)) AS until
    FROM transfers_delivery d JOIN nodes_node n ON n.id = d.node_id
    WHERE d.study_id = %(study_id)s AND (%(nodes)s::text[] IS NULL OR n.name = ANY(%(nodes)s::text[]))
      AND (%(delivery_id)s::bigint IS NULL OR d.id = %(delivery_id)s)
    GROUP BY d.node_id
), found AS (
    SELECT a.node_id, a.number, a.outcome, a.dimse_status, a.error, a.count, a.dead, a.delivery_ids, a.began_at, a.ended_at
    FROM transfers_attempt a
    WHERE a.study_id = %(study_id)s AND a.node_id IN (SELECT node_id FROM goal)
      AND (%(delivery_id)s::bigint IS NULL OR %(delivery_id)s = ANY(a.delivery_ids))
    UNION ALL
    SELECT a.node_id, 0, a.outcome, NULL, a.error, a.count, 0, '{}', a.began_at, a.ended_at
    FROM goal JOIN transfers_attempt a ON a.node_id = goal.node_id
    WHERE a.study_id IS NULL AND a.ended_at >= goal.since AND (goal.open OR a.began_at <= goal.until)
    UNION ALL
    SELECT d.node_id, d.attempts, 'confirmed', d.dimse_status, d.error, count(*)::int, 0, (array_agg(d.id ORDER BY d.id))[1:100],
           COALESCE(min(d.sent_at), min(d.created_at)), COALESCE(max(d.confirmed_at), max(d.updated_at))
    FROM transfers_delivery d JOIN goal ON goal.node_id = d.node_id
    WHERE d.study_id = %(study_id)s AND d.status = 'confirmed' AND (%(delivery_id)s::bigint IS NULL OR d.id = %(delivery_id)s)
    GROUP BY d.node_id, d.attempts, d.dimse_status, d.error, floor(extract(epoch FROM d.confirmed_at) / 900)
)
SELECT n.name AS node, f.number, f.outcome, f.dimse_status, f.error, f.count, f.dead, f.delivery_ids, f.began_at, f.ended_at
FROM found f JOIN nodes_node n ON n.id = f.node_id
ORDER BY f.began_at DESC, n.name, f.number DESC, f.outcome
LIMIT %(limit)s

-- name: study_of
SELECT d.study_id, s.study_instance_uid, n.name FROM transfers_delivery d
JOIN catalogue_study s ON s.id = d.study_id JOIN nodes_node n ON n.id = d.node_id
WHERE d.id = %(delivery_id)s
