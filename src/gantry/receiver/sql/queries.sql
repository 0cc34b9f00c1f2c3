-- Statements of the receiver: who may call, who was refused, what was asked to be committed.

-- name: callers
SELECT aet, hosts, certificate, enabled, may_echo, may_store, may_find, may_get, may_move, may_commit
FROM receiver_caller ORDER BY aet

-- name: node_titles
SELECT DISTINCT aet FROM nodes_node WHERE removed_at IS NULL ORDER BY aet

-- name: note_refused
INSERT INTO receiver_refusedcaller AS known (aet, host, reason, count, first_seen_at, last_seen_at)
SELECT aet, host, reason, count, now(), now()
FROM unnest(%(titles)s::text[], %(hosts)s::text[], %(reasons)s::text[], %(counts)s::bigint[]) AS r (aet, host, reason, count)
ORDER BY 1, 2, 3
ON CONFLICT (aet, host, reason)
DO UPDATE SET count = known.count + EXCLUDED.count, last_seen_at = EXCLUDED.last_seen_at

-- name: forget_refused
-- The table is bounded: whoever floods us with AE titles pushes out the oldest.
DELETE FROM receiver_refusedcaller WHERE id IN (
    SELECT id FROM receiver_refusedcaller ORDER BY last_seen_at DESC, id DESC OFFSET %(keep)s
)

-- name: destination
-- The node that an AE title means; of several the oldest that is enabled.
SELECT id, name, enabled FROM nodes_node WHERE aet = %(aet)s AND removed_at IS NULL ORDER BY enabled DESC, id LIMIT 1

-- name: order_commitment
INSERT INTO receiver_commitment
    (transaction_uid, calling_aet, called_aet, remote_address, instances, failures, status, attempts, error, created_at)
VALUES (%(transaction_uid)s, %(calling_aet)s, %(called_aet)s, %(remote_address)s, %(instances)s, '[]', 'asked', 0, '', now())
RETURNING id

-- name: defer_report
INSERT INTO procrastinate_jobs AS job (queue_name, task_name, priority, queueing_lock, args, scheduled_at)
VALUES ('commitments', 'gantry.receiver.work.report_commitment', 0, 'commitment-' || %(id)s::bigint || '-' || %(lock)s::text,
        jsonb_build_object('commitment_id', %(id)s::bigint),
        CASE WHEN %(seconds)s::float8 > 0 THEN now() + make_interval(secs => %(seconds)s::float8) END)
ON CONFLICT (queueing_lock) WHERE status = 'todo'
DO UPDATE SET scheduled_at = LEAST(job.scheduled_at, EXCLUDED.scheduled_at)

-- name: lock_commitment
SELECT pg_try_advisory_lock(hashtextextended('gantry-commitment-' || %(id)s::bigint, 0))

-- name: unlock_commitment
SELECT pg_advisory_unlock(hashtextextended('gantry-commitment-' || %(id)s::bigint, 0))

-- name: commitment
SELECT id, transaction_uid, calling_aet, instances, failures, status, attempts FROM receiver_commitment WHERE id = %(id)s

-- name: stored_copies
SELECT i.sop_instance_uid, i.sop_class_uid, v.file_path, v.dataset_offset, v.dataset_bytes, v.sha256
FROM catalogue_instance i
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
WHERE i.sop_instance_uid = ANY(%(uids)s::text[])

-- name: judged
UPDATE receiver_commitment SET status = 'judged', failures = %(failures)s, judged_at = now()
WHERE id = %(id)s AND status = 'asked'

-- name: reported
UPDATE receiver_commitment SET status = 'reported', reported_at = now(), error = '', attempts = attempts + 1
WHERE id = %(id)s

-- name: not_reported
UPDATE receiver_commitment
SET attempts = attempts + 1, error = %(error)s, status = CASE WHEN attempts + 1 >= %(limit)s THEN 'given up' ELSE status END
WHERE id = %(id)s
RETURNING attempts, status

-- name: forget_commitments
DELETE FROM receiver_commitment WHERE id IN (
    SELECT id FROM receiver_commitment
    WHERE status IN ('reported', 'given up') AND COALESCE(reported_at, judged_at, created_at) < now() - make_interval(days => %(days)s)
    LIMIT %(batch)s)
