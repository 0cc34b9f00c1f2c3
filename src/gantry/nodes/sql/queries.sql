-- name: study_instances
SELECT i.sop_class_uid, i.sop_instance_uid
FROM catalogue_study st
JOIN catalogue_series se ON se.study_id = st.id
JOIN catalogue_instance i ON i.series_id = se.id
WHERE st.study_instance_uid = %(study)s
ORDER BY i.id

-- name: open_commitment
INSERT INTO nodes_commitment (transaction_uid, node_id, instances, requested_at, result)
VALUES (%(transaction_uid)s, %(node_id)s, %(instances)s::jsonb, now(), '{}'::jsonb)

-- name: drop_commitment
DELETE FROM nodes_commitment WHERE transaction_uid = %(transaction_uid)s AND reported_at IS NULL

-- name: report_commitment
-- The first report counts; a node that repeats it is told that all is well.
UPDATE nodes_commitment
SET result = CASE WHEN reported_at IS NULL THEN %(result)s::jsonb ELSE result END, reported_at = COALESCE(reported_at, now())
WHERE transaction_uid = %(transaction_uid)s

-- name: commitment_result
SELECT result FROM nodes_commitment WHERE transaction_uid = %(transaction_uid)s AND reported_at IS NOT NULL

-- name: begin_fetch
UPDATE nodes_fetch SET state = 'running', started_at = now()
WHERE id = %(id)s AND state IN ('waiting', 'running') AND NOT cancel_wanted
RETURNING node_id, uids, how

-- name: fetch_progress
UPDATE nodes_fetch SET received = %(received)s, announced = %(announced)s WHERE id = %(id)s RETURNING cancel_wanted

-- name: end_fetch
UPDATE nodes_fetch
SET state = %(state)s, announced = %(announced)s, received = %(received)s, present = %(present)s,
    missing = %(missing)s::jsonb, error = %(error)s, ended_at = now()
WHERE id = %(id)s

-- name: forget_commitments
DELETE FROM nodes_commitment WHERE transaction_uid IN (
    SELECT transaction_uid FROM nodes_commitment
    WHERE COALESCE(reported_at, requested_at) < now() - make_interval(days => %(days)s) LIMIT %(batch)s)
