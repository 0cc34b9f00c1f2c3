-- Statements of lists and of what people decide. Those of the hot path are in route.sql.

-- name: decisions
SELECT d.id, s.study_instance_uid, d.version, d.rule_name, d.trigger, d.conditions, d.action, d.deliveries, d.held,
       d.first_at, d.last_at
FROM routing_decision d
LEFT JOIN catalogue_study s ON s.id = d.study_id
WHERE d.study_id = %(study_id)s AND (%(after)s::bigint IS NULL OR d.id > %(after)s)
ORDER BY d.id
LIMIT %(limit)s

-- name: study_of_uid
SELECT id FROM catalogue_study WHERE study_instance_uid = %(study_uid)s

-- name: held
SELECT h.id, s.study_instance_uid, i.sop_instance_uid, h.rule_name, h.reason, h.state, h.held_at, h.ended_at, h.ended_by,
       h.ended_reason, h.study_id
FROM routing_heldinstance h
LEFT JOIN catalogue_study s ON s.id = h.study_id
LEFT JOIN catalogue_version v ON v.id = h.version_id
LEFT JOIN catalogue_instance i ON i.id = v.instance_id
WHERE /* seen */ TRUE AND h.state = %(state)s AND (%(after)s::bigint IS NULL OR h.id > %(after)s)
  AND (%(study_uid)s::text IS NULL OR s.study_instance_uid = %(study_uid)s)
ORDER BY h.id
LIMIT %(limit)s

-- name: end_held
UPDATE routing_heldinstance h
SET state = %(state)s, ended_at = now(), ended_by = %(by)s, ended_reason = %(reason)s
WHERE h.state = 'held'
  AND (%(ids)s::bigint[] IS NULL OR h.id = ANY(%(ids)s::bigint[]))
  AND (%(study_uid)s::text IS NULL
       OR h.study_id = (SELECT id FROM catalogue_study WHERE study_instance_uid = %(study_uid)s))
RETURNING h.version_id, h.study_id

-- name: problems
SELECT rule_name, message, count, first_at, last_at FROM routing_ruleproblem WHERE version = %(version)s ORDER BY last_at DESC

-- name: studies_since
SELECT count(*) FROM catalogue_study WHERE last_received_at >= %(since)s AND instance_count > 0

-- name: versions_since
-- Study by study, so that one at a time is in memory.
SELECT s.id, s.study_instance_uid, s.instance_count, s.series_count, s.modalities, v.header, v.calling_aet, v.called_aet,
       v.remote_address, v.origin, v.received_at
FROM catalogue_study s
JOIN catalogue_series e ON e.study_id = s.id
JOIN catalogue_instance i ON i.series_id = e.id
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
WHERE s.last_received_at >= %(since)s
ORDER BY s.last_received_at DESC, s.id DESC

-- name: study_for_trial
SELECT s.id, s.instance_count, s.series_count, s.modalities FROM catalogue_study s WHERE s.study_instance_uid = %(study_uid)s

-- name: first_file
SELECT v.file_path, v.dataset_offset, v.dataset_bytes, v.transfer_syntax_uid
FROM catalogue_version v WHERE v.id = %(version_id)s

-- name: replay_claim
UPDATE routing_replay SET state = 'running' WHERE id = %(id)s AND state = 'waiting' AND NOT cancel_wanted
RETURNING days, candidate

-- name: replay_progress
UPDATE routing_replay SET done = %(done)s, studies = %(studies)s WHERE id = %(id)s RETURNING cancel_wanted

-- name: replay_end
UPDATE routing_replay
SET state = %(state)s, result = %(result)s::jsonb, error = %(error)s, ended_at = now() WHERE id = %(id)s
