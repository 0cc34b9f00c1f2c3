-- Hold, recall, send again, pass on, look whether it is there.

-- name: study
SELECT id FROM catalogue_study WHERE study_instance_uid = %(study_uid)s

-- name: node_of_name
SELECT id FROM nodes_node WHERE name = %(name)s AND removed_at IS NULL

-- name: hold
UPDATE transfers_delivery SET status = 'held', hold_reason = %(reason)s, updated_at = now()
WHERE study_id = %(study_id)s AND (%(node_id)s::bigint IS NULL OR node_id = %(node_id)s)
  AND status IN ('waiting', 'failed', 'away') AND origin <> 'move'
RETURNING node_id

-- name: release
UPDATE transfers_delivery
SET status = 'waiting', next_attempt_at = now(), updated_at = now(), home = '', hold_reason = %(reason)s,
    priority = COALESCE(%(priority)s::int, priority)
WHERE study_id = %(study_id)s AND (%(node_id)s::bigint IS NULL OR node_id = %(node_id)s) AND status = 'held'
RETURNING node_id

-- name: recall
UPDATE transfers_delivery SET status = 'cancelled', hold_reason = %(reason)s, error = 'recalled: ' || %(reason)s, updated_at = now()
WHERE study_id = %(study_id)s AND (%(node_id)s::bigint IS NULL OR node_id = %(node_id)s)
  AND status IN ('waiting', 'failed', 'away', 'held', 'dead') AND origin <> 'move'
RETURNING node_id

-- name: resend
-- What was passed on to another node stays there.
UPDATE transfers_delivery d
SET status = 'waiting', attempts = 0, resends = 0, next_attempt_at = now(), updated_at = now(), home = '', error = '',
    hold_reason = %(reason)s, priority = COALESCE(%(priority)s::int, priority)
FROM nodes_node n
WHERE d.study_id = %(study_id)s AND (%(node_id)s::bigint IS NULL OR d.node_id = %(node_id)s)
  AND d.status IN ('waiting', 'failed', 'dead', 'held', 'cancelled') AND d.origin <> 'move' AND d.passed_to IS NULL
  AND n.id = d.node_id AND n.removed_at IS NULL
RETURNING d.node_id

-- name: resend_confirmed
-- A new row each: what was proven once stays proven.
INSERT INTO transfers_delivery
    (version_id, node_id, study_id, rule_name, origin, status, attempts, next_attempt_at, error, lease_owner, created_at,
     updated_at, priority, hold_reason, decision_id, failover, edits, ordered_by)
SELECT DISTINCT ON (d.version_id, d.node_id)
       d.version_id, d.node_id, d.study_id, d.rule_name, 'again', 'waiting', 0, now(), '', '', now(), now(),
       COALESCE(%(priority)s::int, d.priority), %(reason)s, d.decision_id, d.failover, d.edits, %(who)s
FROM transfers_delivery d
JOIN nodes_node n ON n.id = d.node_id AND n.removed_at IS NULL
WHERE d.study_id = %(study_id)s AND (%(node_id)s::bigint IS NULL OR d.node_id = %(node_id)s) AND d.status = 'confirmed'
  -- NOT IN, a hash: with NOT EXISTS the plan depends on statistics, which are stale when a large study goes again and again.
  AND (d.version_id, d.node_id) NOT IN (
    SELECT open.version_id, open.node_id FROM transfers_delivery open
    WHERE open.study_id = %(study_id)s AND open.status IN ('waiting', 'failed', 'sent', 'held', 'away') AND open.origin <> 'move'
  )
ORDER BY d.version_id, d.node_id, d.origin = 'move', d.id
RETURNING node_id

-- name: under_way
SELECT count(*) FROM transfers_delivery
WHERE study_id = %(study_id)s AND (%(node_id)s::bigint IS NULL OR node_id = %(node_id)s) AND status = 'sent'
  AND lease_until > now()

-- name: pass_on
-- The next node gets a row of its own; if it has one that was taken back, that lives again, without a list, so that two
-- nodes can never pass one delivery to and fro.
WITH stuck AS (
    SELECT d.id, d.version_id, d.failover[1] AS next_node
    FROM transfers_delivery d
    JOIN nodes_node n ON n.id = d.node_id
    JOIN nodes_node other ON other.id = d.failover[1] AND other.removed_at IS NULL
    WHERE d.status IN ('waiting', 'failed', 'dead') AND d.failover IS NOT NULL AND d.passed_to IS NULL
      AND cardinality(d.failover) > 0 AND d.failover[1] <> d.node_id
      AND (d.status = 'dead' OR (n.breaker <> 'closed' AND n.breaker_since < now() - make_interval(secs => n.failover_seconds)))
    ORDER BY d.id LIMIT %(limit)s
    FOR UPDATE OF d SKIP LOCKED
), made AS (
    INSERT INTO transfers_delivery AS d
        (version_id, node_id, study_id, rule_name, status, attempts, next_attempt_at, error, lease_owner, created_at,
         updated_at, priority, decision_id, failover, edits, ordered_by)
    SELECT DISTINCT ON (old.version_id, stuck.next_node)
           old.version_id, stuck.next_node, old.study_id, old.rule_name, 'waiting', 0, now(), '', '', now(), now(),
           old.priority, old.decision_id, old.failover[2:], old.edits, old.ordered_by
    FROM stuck JOIN transfers_delivery old ON old.id = stuck.id
    ORDER BY old.version_id, stuck.next_node, old.id
    ON CONFLICT (version_id, node_id) WHERE origin = ''
    DO UPDATE SET status = CASE WHEN d.status = 'cancelled' THEN 'waiting' ELSE d.status END,
                  attempts = CASE WHEN d.status = 'cancelled' THEN 0 ELSE d.attempts END,
                  failover = CASE WHEN d.status = 'cancelled' THEN NULL ELSE d.failover END,
                  passed_to = CASE WHEN d.status = 'cancelled' THEN NULL ELSE d.passed_to END,
                  next_attempt_at = CASE WHEN d.status = 'cancelled' THEN now() ELSE d.next_attempt_at END,
                  updated_at = now()
    RETURNING d.id, d.version_id, d.node_id
)
UPDATE transfers_delivery d
SET status = 'cancelled', passed_to = made.id, updated_at = now(),
    error = left('passed on to node ' || next.name || CASE WHEN d.error <> '' THEN ': ' || d.error ELSE '' END, 1000)
FROM stuck, made, nodes_node next
WHERE d.id = stuck.id AND made.version_id = stuck.version_id AND made.node_id = stuck.next_node AND next.id = stuck.next_node
RETURNING stuck.next_node

-- name: skip_removed
-- The next node of the list was removed, or is the node itself: the one after it.
UPDATE transfers_delivery d SET failover = d.failover[2:]
FROM (
    SELECT d.id FROM transfers_delivery d
    LEFT JOIN nodes_node other ON other.id = d.failover[1] AND other.removed_at IS NULL
    WHERE d.status IN ('waiting', 'failed', 'dead') AND d.failover IS NOT NULL AND d.passed_to IS NULL
      AND cardinality(d.failover) > 0 AND (other.id IS NULL OR d.failover[1] = d.node_id)
    LIMIT %(limit)s
    FOR UPDATE OF d SKIP LOCKED
) wrong WHERE d.id = wrong.id

-- name: nodes_to_verify
SELECT n.id FROM nodes_node n
WHERE n.enabled AND n.removed_at IS NULL AND n.breaker = 'closed'
  AND EXISTS (SELECT 1 FROM transfers_delivery d WHERE d.node_id = n.id AND d.verify_at <= now())

-- name: take_to_verify
-- What was edited may have other identifiers there: it is not asked for.
UPDATE transfers_delivery d
SET verify_at = now() + make_interval(secs => %(lease_seconds)s)
FROM catalogue_version v, catalogue_instance i, catalogue_series se, catalogue_study st
WHERE v.id = d.version_id AND i.id = v.instance_id AND se.id = i.series_id AND st.id = se.study_id
  AND d.id IN (
    SELECT w.id FROM transfers_delivery w
    WHERE w.node_id = %(node_id)s AND w.status = 'confirmed' AND w.edits IS NULL
      AND (%(home)s::text IS NULL OR split_part(w.home, ' ', 1) IN ('', %(home)s))
      AND CASE WHEN %(study_uid)s::text IS NULL THEN w.verify_at <= now()
               ELSE w.verified_at IS NULL AND (w.verify_at IS NULL OR w.verify_at <= now() + interval '5 minutes')
                    AND w.study_id = (SELECT id FROM catalogue_study WHERE study_instance_uid = %(study_uid)s) END
    ORDER BY w.verify_at, w.id LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
  )
RETURNING d.id, st.study_instance_uid, se.series_instance_uid, i.sop_class_uid, i.sop_instance_uid,
       COALESCE(d.sha256, v.sha256),
       CASE WHEN %(values)s THEN v.header || jsonb_build_object(
           'StudyInstanceUID', st.study_instance_uid, 'SeriesInstanceUID', se.series_instance_uid,
           'PatientID', COALESCE(v.header -> 'PatientID', to_jsonb(''::text)), 'CallingAET', v.calling_aet) END

-- name: verified
UPDATE transfers_delivery
SET verified_at = now(), verified_by = %(by)s, verify_at = NULL, verify_error = ''
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'confirmed'

-- name: not_there
-- The confirmation that was none is kept as an attempt before it is forgotten.
WITH gone AS (
    UPDATE transfers_delivery d
    SET status = CASE WHEN resends >= %(most)s THEN 'dead' ELSE 'waiting' END,
        error = CASE WHEN resends >= %(most)s
                     THEN 'confirmed, but not found at the node, also after it was sent again (look at the node why it does not '
                          'keep what it confirms, then retry)'
                     ELSE 'confirmed, but not found at the node: it is sent again (nothing to do; look at the node if it stays)' END,
        resends = resends + 1, attempts = 0, next_attempt_at = now(), verify_at = NULL, updated_at = now()
    FROM (SELECT id, attempts, confirmed_at FROM transfers_delivery WHERE id = ANY(%(ids)s::bigint[])) AS old (id, number, at)
    WHERE d.id = old.id AND d.status = 'confirmed'
    RETURNING d.id, d.study_id, d.node_id, old.number, d.status, d.error, COALESCE(old.at, now()) AS at
), kept AS (
    INSERT INTO transfers_attempt (study_id, node_id, key, number, outcome, error, count, dead, delivery_ids, began_at, ended_at)
    SELECT g.study_id, g.node_id, md5(concat_ws('|', 'missing', clock_timestamp(), g.number, g.error))::uuid, g.number, 'missing',
           g.error, count(*), count(*) FILTER (WHERE g.status = 'dead'), (array_agg(g.id ORDER BY g.id))[1:100], min(g.at), now()
    FROM gone g
    GROUP BY g.study_id, g.node_id, g.number, g.error
    ON CONFLICT (study_id, node_id, key) DO NOTHING
)
SELECT status = 'dead', study_id FROM gone

-- name: not_answered
UPDATE transfers_delivery
SET verify_error = %(error)s,
    verify_at = CASE WHEN confirmed_at > now() - make_interval(secs => %(give_up)s)
                     THEN now() + make_interval(secs => %(seconds)s) END
WHERE id = ANY(%(ids)s::bigint[]) AND status = 'confirmed'

-- name: outlook
SELECT n.id, n.name, n.kind, n.enabled, n.breaker, n.breaker_since, n.retry_at, n.last_error, n.last_success_at, n.failure_count,
       n.max_associations, n.bandwidth, l.rate, l.rate_at, l.parallel,
       q.waiting, q.sent, q.failed, q.held, q.away, q.dead, q.bytes, q.oldest
FROM nodes_node n
LEFT JOIN nodes_link l ON l.node_id = n.id
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE d.status = 'waiting') AS waiting, count(*) FILTER (WHERE d.status = 'sent') AS sent,
           count(*) FILTER (WHERE d.status = 'failed') AS failed, count(*) FILTER (WHERE d.status = 'held') AS held,
           count(*) FILTER (WHERE d.status = 'away') AS away, count(*) FILTER (WHERE d.status = 'dead') AS dead,
           COALESCE(sum(v.dataset_bytes) FILTER (WHERE d.status IN ('waiting', 'sent', 'failed', 'away')), 0)::bigint AS bytes,
           min(d.created_at) FILTER (WHERE d.status IN ('waiting', 'sent', 'failed', 'away')) AS oldest
    FROM transfers_delivery d JOIN catalogue_version v ON v.id = d.version_id
    WHERE d.node_id = n.id AND d.status IN ('waiting', 'failed', 'sent', 'held', 'away', 'dead')
) q
WHERE n.removed_at IS NULL AND (%(names)s::text[] IS NULL OR n.name = ANY(%(names)s::text[]))
ORDER BY n.name
