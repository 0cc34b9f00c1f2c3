-- Statements of the delivery ledger. Open statuses: waiting, failed, sent. Final: confirmed. dead: a person decides.
-- Rows of a C-MOVE (origin "move") are tried once: they end as confirmed, dead or cancelled.

-- name: try_lock
-- Each home has a run of its own: only it can read its files.
SELECT pg_try_advisory_lock(hashtextextended('gantry-deliver-' || %(node_id)s::bigint || '-' || %(home)s::text, 0))

-- name: order
-- Several orders at once. Where two mean the same version and node the first one counts.
INSERT INTO transfers_delivery
    (version_id, node_id, study_id, rule_name, status, attempts, next_attempt_at, error, lease_owner, created_at, updated_at,
     priority, hold_reason, decision_id, failover, edits, ordered_by)
SELECT v.id, n.id, s.study_id, o.rule_name, o.status, 0, now(), '', '', now(), now(),
       o.priority, o.hold_reason, o.decision_id, o.failover::bigint[], o.edits, o.ordered_by
FROM unnest(%(rule_names)s::text[], %(statuses)s::text[], %(priorities)s::int[], %(hold_reasons)s::text[],
            %(decision_ids)s::bigint[], %(failovers)s::text[], %(edits)s::jsonb[], %(ordered_by)s::text[])
     WITH ORDINALITY AS o (rule_name, status, priority, hold_reason, decision_id, failover, edits, ordered_by, turn)
JOIN unnest(%(version_turns)s::int[], %(version_ids)s::bigint[]) AS wanted (turn, id) ON wanted.turn = o.turn
JOIN unnest(%(node_turns)s::int[], %(node_ids)s::bigint[]) AS goal (turn, id) ON goal.turn = o.turn
JOIN nodes_node n ON n.id = goal.id AND n.removed_at IS NULL
JOIN catalogue_version v ON v.id = wanted.id
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series s ON s.id = i.series_id
ORDER BY o.turn, v.id, n.id
ON CONFLICT (version_id, node_id) WHERE origin = '' DO NOTHING
RETURNING node_id, decision_id, status

-- name: order_move
-- Due since 1970: what somebody waits for goes before what rules have ordered, without another index.
INSERT INTO transfers_delivery
    (version_id, node_id, study_id, rule_name, origin, move_id, move_aet, move_message_id, status, attempts,
     next_attempt_at, error, lease_owner, created_at, updated_at)
SELECT wanted.id, %(node_id)s, s.study_id, '', 'move', %(move_id)s, %(aet)s, %(message_id)s, 'waiting', 0,
       to_timestamp(wanted.place), '', '', now(), now()
FROM unnest(%(version_ids)s::bigint[]) WITH ORDINALITY AS wanted (id, place)
JOIN catalogue_version v ON v.id = wanted.id
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series s ON s.id = i.series_id
ORDER BY wanted.place

-- name: move_progress
SELECT count(*) FILTER (WHERE status IN ('waiting', 'failed', 'sent', 'away')),
       count(*) FILTER (WHERE status = 'confirmed' AND COALESCE(dimse_status, 0) = 0),
       count(*) FILTER (WHERE status = 'dead'),
       count(*) FILTER (WHERE status = 'confirmed' AND COALESCE(dimse_status, 0) <> 0),
       count(*) FILTER (WHERE status = 'cancelled')
FROM transfers_delivery WHERE move_id = %(move_id)s

-- name: move_failures
SELECT i.sop_instance_uid, d.error FROM transfers_delivery d
JOIN catalogue_version v ON v.id = d.version_id
JOIN catalogue_instance i ON i.id = v.instance_id
WHERE d.move_id = %(move_id)s AND d.status <> 'confirmed'
ORDER BY d.id LIMIT %(limit)s

-- name: cancel_move
-- What is claimed is on its way; it ends by itself.
UPDATE transfers_delivery
SET status = 'cancelled', error = %(error)s, updated_at = now()
WHERE move_id = %(move_id)s AND status IN ('waiting', 'failed', 'away')

-- name: defer_now
-- One immediate job per node may wait in the queue. It goes before a scheduled one, which has another queueing lock.
INSERT INTO procrastinate_jobs (queue_name, task_name, priority, queueing_lock, args)
SELECT 'transfers', 'gantry.transfers.work.deliver', 1, 'deliver-now-' || node_id, jsonb_build_object('node_id', node_id)
FROM unnest(%(node_ids)s::bigint[]) AS wanted (node_id)
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING

-- name: defer_later
INSERT INTO procrastinate_jobs AS job (queue_name, task_name, priority, queueing_lock, args, scheduled_at)
VALUES ('transfers', 'gantry.transfers.work.deliver', 0, 'deliver-later-' || %(node_id)s::bigint,
        jsonb_build_object('node_id', %(node_id)s::bigint),
        COALESCE(%(at)s::timestamptz, now() + make_interval(secs => %(seconds)s::float8)))
ON CONFLICT (queueing_lock) WHERE status = 'todo'
DO UPDATE SET scheduled_at = LEAST(job.scheduled_at, EXCLUDED.scheduled_at)

-- name: node
SELECT n.id, name, kind, aet, host, port, calling_aet, max_associations, max_attempts, connect_seconds, response_seconds,
       enabled AND removed_at IS NULL AS enabled, failure_count,
       CASE WHEN retry_at > now() THEN retry_at END AS paused_until,
       tls, tls_authorities, tls_fingerprint, tls_certificate, tls_key, user_name, profile,
       url, path_template, transcode, bandwidth, reconcile, http_auth, breaker, l.parallel, n.passcode
FROM nodes_node n LEFT JOIN nodes_link l ON l.node_id = n.id
WHERE n.id = %(node_id)s

-- name: claim
-- `sent` is committed before a byte goes out; the lease is `next_attempt_at`, so a lost run's rows come due by time.
-- What has a priority goes first; `least` above 0: nothing else goes at all. Rows of another home are not ours.
WITH urgent AS (
    SELECT id FROM transfers_delivery
    WHERE node_id = %(node_id)s AND status IN ('waiting', 'failed', 'sent') AND priority > 0 AND priority >= %(least)s
      AND next_attempt_at <= now() AND split_part(home, ' ', 1) IN ('', %(home)s)
    ORDER BY priority DESC, next_attempt_at, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
), due AS (
    SELECT id FROM transfers_delivery
    WHERE node_id = %(node_id)s AND status IN ('waiting', 'failed', 'sent') AND next_attempt_at <= now()
      AND priority <= 0 AND %(least)s <= 0 AND split_part(home, ' ', 1) IN ('', %(home)s)
    ORDER BY next_attempt_at, id
    -- Those of a C-MOVE come first; they are taken in small portions, so that a cancel has something left to stop.
    LIMIT CASE WHEN EXISTS (SELECT 1 FROM urgent) THEN 0 WHEN (
        SELECT first.origin = 'move' FROM transfers_delivery first
        WHERE first.node_id = %(node_id)s AND first.status IN ('waiting', 'failed', 'sent') AND first.next_attempt_at <= now()
        ORDER BY first.next_attempt_at, first.id LIMIT 1
    ) THEN %(move_limit)s::int ELSE %(limit)s::int END
    FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE transfers_delivery d
    SET status = 'sent', attempts = d.attempts + 1, sent_at = now(), updated_at = now(), lease_owner = %(owner)s,
        lease_until = now() + make_interval(secs => %(lease_seconds)s),
        next_attempt_at = now() + make_interval(secs => %(lease_seconds)s)
    FROM (SELECT id FROM urgent UNION ALL SELECT id FROM due) taken WHERE d.id = taken.id
    RETURNING d.id, d.version_id, d.attempts, d.move_aet, d.move_message_id, d.priority, d.edits, d.home
)
SELECT c.id, c.attempts, v.file_path, v.dataset_offset, v.dataset_bytes, v.sha256,
       i.sop_class_uid, i.sop_instance_uid, v.transfer_syntax_uid, c.move_aet, c.move_message_id,
       c.priority, c.edits::text, c.home,
       CASE WHEN %(values)s THEN v.header || jsonb_build_object(
           'StudyInstanceUID', st.study_instance_uid, 'SeriesInstanceUID', se.series_instance_uid,
           'PatientID', COALESCE(v.header -> 'PatientID', to_jsonb(''::text)), 'CallingAET', v.calling_aet) END
FROM claimed c
JOIN catalogue_version v ON v.id = c.version_id
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
ORDER BY c.priority DESC, i.sop_class_uid, v.transfer_syntax_uid, c.id

-- name: pass_away
UPDATE transfers_delivery
SET status = 'away', home = %(homes)s, attempts = attempts - 1, sent_at = NULL, lease_owner = '', lease_until = NULL,
    updated_at = now()
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'sent' AND lease_owner = %(owner)s

-- name: other_homes
SELECT id FROM transfers_workerhome WHERE id <> %(home)s AND seen_at > now() - interval '30 days' ORDER BY id

-- name: home_seen
INSERT INTO transfers_workerhome (id, host, first_seen_at, seen_at) VALUES (%(home)s, %(host)s, now(), now())
ON CONFLICT (id) DO UPDATE SET host = EXCLUDED.host, seen_at = now()

-- name: take_in
-- Rows that another home passed on to us; few at a time, so that the others need not look past them.
UPDATE transfers_delivery d
SET status = 'waiting', next_attempt_at = CASE WHEN origin = 'move' THEN to_timestamp(1) ELSE now() END,
    updated_at = now()
FROM (
    SELECT id FROM transfers_delivery WHERE status = 'away' AND split_part(home, ' ', 1) = %(home)s
    ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED
) ours WHERE d.id = ours.id

-- name: nodes_due
-- Enabled nodes with something that this home may send now.
SELECT n.id FROM nodes_node n
WHERE n.enabled AND n.removed_at IS NULL AND (n.retry_at IS NULL OR n.retry_at <= now())
  AND EXISTS (
    SELECT 1 FROM transfers_delivery d
    WHERE d.node_id = n.id AND d.status IN ('waiting', 'failed', 'sent') AND d.next_attempt_at <= now()
      AND split_part(d.home, ' ', 1) IN ('', %(home)s)
  )

-- name: renew
UPDATE transfers_delivery
SET lease_until = now() + make_interval(secs => %(lease_seconds)s),
    next_attempt_at = now() + make_interval(secs => %(lease_seconds)s)
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'sent' AND lease_owner = %(owner)s

-- name: confirm
-- The peer has it: true whoever holds the lease by now. A confirmed row is never written again.
UPDATE transfers_delivery d
SET status = 'confirmed', dimse_status = r.dimse_status, error = r.error, sha256 = r.sha256,
    sent_at = r.started_at, confirmed_at = r.ended_at, updated_at = now(), lease_owner = '', lease_until = NULL,
    changed = r.changed, sent_syntax = r.sent_syntax, home = COALESCE(%(written_by)s, d.home),
    verify_at = now() + make_interval(secs => %(verify_seconds)s::float8 * 4 ^ d.resends)
FROM unnest(%(ids)s::bigint[], %(dimse_statuses)s::int[], %(errors)s::text[], %(digests)s::bytea[],
            %(started)s::timestamptz[], %(ended)s::timestamptz[], %(changed)s::text[], %(syntaxes)s::text[])
     AS r (id, dimse_status, error, sha256, started_at, ended_at, changed, sent_syntax)
WHERE d.id = r.id AND d.status <> 'confirmed'
RETURNING d.study_id

-- name: fail
-- What failed is also kept as an attempt: one row for all that met the same within five minutes, so that a node that refuses
-- thousands costs little and fills no page.
WITH failed AS (
    UPDATE transfers_delivery d
    SET status = CASE WHEN r.dead OR d.origin = 'move' OR d.attempts >= %(max_attempts)s THEN 'dead' ELSE 'failed' END,
        dimse_status = r.dimse_status, error = r.error, sha256 = r.sha256, sent_at = r.started_at, updated_at = now(),
        next_attempt_at = now() + make_interval(secs => r.delay), lease_owner = '', lease_until = NULL
    FROM unnest(%(ids)s::bigint[], %(dimse_statuses)s::int[], %(errors)s::text[], %(digests)s::bytea[],
                %(started)s::timestamptz[], %(ended)s::timestamptz[], %(dead)s::boolean[], %(delays)s::float8[], %(outcomes)s::text[])
         AS r (id, dimse_status, error, sha256, started_at, ended_at, dead, delay, outcome)
    WHERE d.id = r.id AND d.status = 'sent' AND d.lease_owner = %(owner)s
    RETURNING d.id, d.study_id, d.node_id, d.attempts, d.status, d.dimse_status, d.error, r.started_at, r.ended_at, r.outcome
), kept AS (
    INSERT INTO transfers_attempt AS a
        (study_id, node_id, key, number, outcome, dimse_status, error, count, dead, delivery_ids, began_at, ended_at)
    SELECT f.study_id, f.node_id,
           md5(concat_ws('|', floor(extract(epoch FROM f.started_at) / 300), f.attempts, f.outcome, COALESCE(f.dimse_status, -1),
                         f.error))::uuid,
           f.attempts, f.outcome, f.dimse_status, f.error, count(*), count(*) FILTER (WHERE f.status = 'dead'),
           (array_agg(f.id ORDER BY f.id))[1:100], min(f.started_at), max(f.ended_at)
    FROM failed f
    GROUP BY f.study_id, f.node_id, floor(extract(epoch FROM f.started_at) / 300), f.attempts, f.outcome, f.dimse_status, f.error
    ORDER BY f.study_id, 3
    ON CONFLICT (study_id, node_id, key) DO UPDATE
    SET count = a.count + EXCLUDED.count, dead = a.dead + EXCLUDED.dead, ended_at = GREATEST(a.ended_at, EXCLUDED.ended_at),
        began_at = LEAST(a.began_at, EXCLUDED.began_at), delivery_ids = (a.delivery_ids || EXCLUDED.delivery_ids)[1:100]
)
SELECT status = 'dead', study_id FROM failed

-- name: studies_done
-- Of these studies those of which nothing is left to be sent to the node.
SELECT study_id FROM unnest(%(study_ids)s::bigint[]) AS wanted (study_id)
WHERE NOT EXISTS (
    SELECT 1 FROM transfers_delivery d
    WHERE d.study_id = wanted.study_id AND d.node_id = %(node_id)s
      AND d.status IN ('waiting', 'failed', 'sent', 'held', 'away', 'dead')
)

-- name: give_back
-- Rows that were claimed and never tried: the attempt does not count. With a reason they show as failed, and that is kept.
WITH given AS (
    UPDATE transfers_delivery d
    SET status = CASE WHEN %(error)s <> '' AND origin = 'move' THEN 'dead'
                      WHEN %(error)s <> '' OR attempts > 1 THEN 'failed' ELSE 'waiting' END,
        attempts = attempts - 1, sent_at = NULL,
        error = CASE WHEN %(error)s <> '' THEN %(error)s ELSE error END,
        next_attempt_at = now() + make_interval(secs => %(delay)s), updated_at = now(), lease_owner = '', lease_until = NULL
    FROM (SELECT id, sent_at FROM transfers_delivery WHERE id = ANY(%(ids)s::bigint[])) AS old (id, taken_at)
    WHERE d.id = old.id AND d.status = 'sent' AND d.lease_owner = %(owner)s
    RETURNING d.id, d.study_id, d.node_id, d.attempts + 1 AS number, d.status, old.taken_at
), kept AS (
    INSERT INTO transfers_attempt AS a (study_id, node_id, key, number, outcome, error, count, dead, delivery_ids, began_at, ended_at)
    SELECT g.study_id, g.node_id, md5(concat_ws('|', floor(extract(epoch FROM g.taken_at) / 300), g.number, 'untried', %(error)s::text))::uuid,
           g.number, 'untried', %(error)s, count(*), count(*) FILTER (WHERE g.status = 'dead'), (array_agg(g.id ORDER BY g.id))[1:100],
           min(g.taken_at), now()
    FROM given g
    WHERE %(error)s <> ''
    GROUP BY g.study_id, g.node_id, floor(extract(epoch FROM g.taken_at) / 300), g.number
    ORDER BY g.study_id, 3
    ON CONFLICT (study_id, node_id, key) DO UPDATE
    SET count = a.count + EXCLUDED.count, dead = a.dead + EXCLUDED.dead, ended_at = EXCLUDED.ended_at,
        delivery_ids = (a.delivery_ids || EXCLUDED.delivery_ids)[1:100]
)
SELECT study_id FROM given

-- name: node_succeeded
UPDATE nodes_node
SET last_success_at = now(), last_error = '', failure_count = 0, retry_at = NULL, breaker = 'closed', breaker_since = NULL
WHERE id = %(node_id)s

-- name: node_half_open
UPDATE nodes_node SET breaker = 'half-open' WHERE id = %(node_id)s AND breaker <> 'closed'

-- name: node_failed
UPDATE nodes_node
SET last_failure_at = now(), last_error = %(error)s, failure_count = failure_count + 1,
    retry_at = now() + make_interval(secs => %(delay)s),
    breaker = 'open', breaker_since = COALESCE(breaker_since, now())
WHERE id = %(node_id)s
RETURNING retry_at

-- name: fail_moves
UPDATE transfers_delivery SET status = 'dead', error = %(error)s, updated_at = now()
WHERE node_id = %(node_id)s AND status IN ('waiting', 'failed') AND origin = 'move'

-- name: next_due
SELECT next.at, next.at <= now() FROM (
    SELECT GREATEST(d.next_attempt_at, n.retry_at) AS at
    FROM transfers_delivery d
    JOIN nodes_node n ON n.id = d.node_id
    WHERE d.node_id = %(node_id)s AND d.status IN ('waiting', 'failed', 'sent') AND split_part(d.home, ' ', 1) IN ('', %(home)s)
    ORDER BY d.next_attempt_at, d.id
    LIMIT 1
) next

-- name: lease_owners
SELECT DISTINCT lease_owner FROM transfers_delivery
WHERE status = 'sent' AND starts_with(lease_owner, %(prefix)s)

-- name: release_leases
UPDATE transfers_delivery
SET next_attempt_at = now(), updated_at = now(), lease_owner = '', lease_until = NULL
WHERE status = 'sent' AND lease_owner = ANY(%(owners)s::text[])

-- name: nodes_with_open_deliveries
SELECT n.id FROM nodes_node n
WHERE n.enabled AND n.removed_at IS NULL AND EXISTS (
    SELECT 1 FROM transfers_delivery d WHERE d.node_id = n.id AND d.status IN ('waiting', 'failed', 'sent')
)

-- name: nodes_forgotten
-- Enabled nodes with something due and no job that would send it.
SELECT n.id FROM nodes_node n
WHERE n.enabled AND n.removed_at IS NULL AND (n.retry_at IS NULL OR n.retry_at <= now())
  AND EXISTS (
    SELECT 1 FROM transfers_delivery d
    WHERE d.node_id = n.id AND d.status IN ('waiting', 'failed', 'sent') AND d.next_attempt_at <= now()
  )
  AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs j
    WHERE j.status = 'doing' AND j.task_name = 'gantry.transfers.work.deliver' AND (j.args ->> 'node_id')::bigint = n.id
  )

-- name: stalled_jobs
SELECT job.id, job.queueing_lock
FROM procrastinate_jobs job
LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
WHERE job.status = 'doing'
  AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => %(stalled_seconds)s))
ORDER BY job.id
FOR UPDATE OF job SKIP LOCKED

-- name: worker_lives
INSERT INTO procrastinate_workers (id, last_heartbeat) OVERRIDING SYSTEM VALUE VALUES (%(worker_id)s, now())
ON CONFLICT (id) DO UPDATE SET last_heartbeat = now()

-- name: keep_jobs
UPDATE procrastinate_jobs SET worker_id = %(worker_id)s
WHERE status = 'doing' AND worker_id IS NULL AND id = ANY(%(running)s::bigint[])

-- name: jobs_unheard_of
SELECT id, queueing_lock FROM procrastinate_jobs
WHERE status = 'doing' AND worker_id = %(worker_id)s AND id <> ALL(%(running)s::bigint[])
ORDER BY id
FOR UPDATE

-- name: requeue_job
UPDATE procrastinate_jobs
SET status = 'todo', attempts = attempts + 1, scheduled_at = NULL, worker_id = NULL, abort_requested = false
WHERE id = %(id)s AND status = 'doing' AND NOT EXISTS (
    SELECT 1 FROM procrastinate_jobs twin
    WHERE twin.status = 'todo' AND twin.queueing_lock = %(queueing_lock)s::text
)

-- name: drop_job
UPDATE procrastinate_jobs SET status = 'failed', worker_id = NULL WHERE id = %(id)s AND status = 'doing'

-- name: retry
UPDATE transfers_delivery d
SET status = 'waiting', attempts = 0, next_attempt_at = now(), updated_at = now(), home = '', resends = 0
FROM nodes_node n, catalogue_study s
WHERE n.id = d.node_id AND s.id = d.study_id AND n.removed_at IS NULL
  AND d.status = ANY(%(statuses)s::text[])
  AND (%(study_uid)s::text IS NULL OR s.study_instance_uid = %(study_uid)s)
  AND (%(node)s::text IS NULL OR n.name = %(node)s)
  AND (%(ids)s::bigint[] IS NULL OR d.id = ANY(%(ids)s::bigint[]))
  AND (%(nodes)s::text[] IS NULL OR n.name = ANY(%(nodes)s::text[]))
  AND /* seen */ TRUE
RETURNING d.node_id

-- name: clear_pause
UPDATE nodes_node SET retry_at = NULL WHERE id = ANY(%(node_ids)s::bigint[])

-- name: count_open
SELECT count(*) FROM transfers_delivery
WHERE node_id = %(node_id)s AND status IN ('waiting', 'failed', 'sent', 'held', 'away')

-- name: find
SELECT d.id, s.study_instance_uid, i.sop_instance_uid, n.name AS node, d.rule_name, d.status, d.attempts,
       CASE WHEN d.status IN ('waiting', 'failed') THEN GREATEST(d.next_attempt_at, d.created_at, n.retry_at) END AS next_attempt_at,
       d.dimse_status, COALESCE(NULLIF(d.error, ''), CASE WHEN d.status = 'waiting' THEN n.last_error END, '') AS error,
       encode(v.sha256, 'hex') AS stored_sha256, encode(d.sha256, 'hex') AS sent_sha256, v.dataset_bytes,
       d.created_at, d.sent_at, d.confirmed_at, d.priority, d.hold_reason, d.changed, d.verified_at, d.verified_by
FROM transfers_delivery d
JOIN nodes_node n ON n.id = d.node_id
JOIN catalogue_study s ON s.id = d.study_id
JOIN catalogue_version v ON v.id = d.version_id
JOIN catalogue_instance i ON i.id = v.instance_id
WHERE (%(after)s::bigint IS NULL OR d.id > %(after)s)
  AND (%(study_uid)s::text IS NULL OR s.study_instance_uid = %(study_uid)s)
  AND (%(node)s::text IS NULL OR n.name = %(node)s)
  AND (%(status)s::text IS NULL OR d.status = %(status)s)
  AND (%(rule_name)s::text IS NULL OR d.rule_name = %(rule_name)s)
  AND (%(sop_instance_uid)s::text IS NULL OR i.sop_instance_uid = %(sop_instance_uid)s)
  AND (%(nodes)s::text[] IS NULL OR n.name = ANY(%(nodes)s::text[]))
  AND {seen}
ORDER BY d.id
LIMIT %(limit)s

-- name: summary_of_studies
SELECT s.study_instance_uid, n.name, d.status, count(*), COALESCE(sum(v.dataset_bytes), 0)::bigint
FROM transfers_delivery d
JOIN nodes_node n ON n.id = d.node_id
JOIN catalogue_study s ON s.id = d.study_id
JOIN catalogue_version v ON v.id = d.version_id
WHERE s.study_instance_uid = ANY(%(study_uids)s::text[])
GROUP BY s.study_instance_uid, n.name, d.status
ORDER BY s.study_instance_uid, n.name, d.status

-- name: summary_of_nodes
SELECT n.name, d.status, count(*)
FROM transfers_delivery d
JOIN nodes_node n ON n.id = d.node_id
GROUP BY n.name, d.status
ORDER BY n.name, d.status

-- name: receipt_study
SELECT id, instance_count FROM catalogue_study WHERE study_instance_uid = %(study_uid)s

-- name: receipt_rows
-- Of several deliveries of a version to a node (one that was ordered, those that were sent again, and each C-MOVE) the last
-- one that was confirmed.
SELECT name, address, sop_instance_uid, status, dimse_status, error, attempts, stored, sent, dataset_bytes,
       transfer_syntax_uid, sent_at, confirmed_at, changed, sent_syntax, rule_name, decision_id, hold_reason, resends,
       verified_at, verified_by, verify_error, origin, ordered_by
FROM (
    SELECT DISTINCT ON (d.node_id, d.version_id)
           n.name, CASE WHEN n.kind = 'dimse' THEN n.aet WHEN n.kind = 'folder' THEN 'folder:' || n.url ELSE n.url END AS address,
           i.sop_instance_uid, d.status, d.dimse_status, d.error, d.attempts, v.sha256 AS stored,
           d.sha256 AS sent, v.dataset_bytes, v.transfer_syntax_uid, d.sent_at, d.confirmed_at, d.id, d.changed, d.sent_syntax,
           d.rule_name, d.decision_id, d.hold_reason, d.resends, d.verified_at, d.verified_by, d.verify_error, d.origin,
           CASE WHEN d.origin = 'move' THEN d.move_aet ELSE d.ordered_by END AS ordered_by
    FROM transfers_delivery d
    JOIN nodes_node n ON n.id = d.node_id
    JOIN catalogue_version v ON v.id = d.version_id
    JOIN catalogue_instance i ON i.id = v.instance_id
    WHERE d.study_id = %(study_id)s AND d.status <> 'cancelled'
    ORDER BY d.node_id, d.version_id, d.status <> 'confirmed', d.origin = 'move', d.confirmed_at DESC NULLS LAST, d.id
) best
ORDER BY name, id
