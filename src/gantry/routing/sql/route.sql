-- Statements of the hot path: what the rules are, what they look at, what they decided.

-- name: head
-- Cheap enough for every batch: which set is active, and which nodes there are.
SELECT s.id, s.version, n.names, n.ids
FROM (SELECT array_agg(name ORDER BY id) AS names, array_agg(id ORDER BY id) AS ids
      FROM nodes_node WHERE removed_at IS NULL) n
LEFT JOIN routing_ruleset s ON s.state = 'active'

-- name: rules_of_set
SELECT rules FROM routing_ruleset WHERE id = %(id)s

-- name: versions_of_batch
SELECT v.id, s.study_id, h.state, v.header, v.calling_aet, v.called_aet, v.remote_address, v.origin, v.received_at
FROM catalogue_version v
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series s ON s.id = i.series_id
LEFT JOIN routing_heldinstance h ON h.version_id = v.id
WHERE v.batch_id = %(batch_id)s AND v.id > %(after)s
ORDER BY v.id
LIMIT %(limit)s

-- name: versions_of_study
SELECT v.id, s.study_id, h.state, v.header, v.calling_aet, v.called_aet, v.remote_address, v.origin, v.received_at
FROM catalogue_series s
JOIN catalogue_instance i ON i.series_id = s.id
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
LEFT JOIN routing_heldinstance h ON h.version_id = v.id
WHERE s.study_id = %(study_id)s AND v.id > %(after)s
ORDER BY v.id
LIMIT %(limit)s

-- name: versions_by_id
SELECT v.id, s.study_id, h.state, v.header, v.calling_aet, v.called_aet, v.remote_address, v.origin, v.received_at
FROM catalogue_version v
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series s ON s.id = i.series_id
LEFT JOIN routing_heldinstance h ON h.version_id = v.id
WHERE v.id = ANY(%(version_ids)s::bigint[]) AND v.id > %(after)s
ORDER BY v.id
LIMIT %(limit)s

-- name: studies_of_batch
SELECT DISTINCT s.study_id
FROM catalogue_version v
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series s ON s.id = i.series_id
WHERE v.batch_id = %(batch_id)s
ORDER BY 1

-- name: study_facts
SELECT instance_count, series_count, modalities FROM catalogue_study WHERE id = %(study_id)s

-- name: decide
INSERT INTO routing_decision (study_id, version, rule_name, trigger, conditions, action, deliveries, held, first_at, last_at)
SELECT study_id, %(version)s, name, trigger, conditions, action, 0, 0, now(), now()
FROM unnest(%(studies)s::bigint[], %(names)s::text[], %(triggers)s::text[], %(conditions)s::jsonb[], %(actions)s::jsonb[])
     AS decided (study_id, name, trigger, conditions, action)
ORDER BY study_id, name
ON CONFLICT (study_id, version, rule_name, trigger) DO UPDATE SET last_at = EXCLUDED.last_at
RETURNING id, rule_name, study_id

-- name: count_decisions
UPDATE routing_decision d SET deliveries = d.deliveries + c.deliveries, held = d.held + c.held
FROM unnest(%(ids)s::bigint[], %(deliveries)s::int[], %(held)s::int[]) AS c (id, deliveries, held)
WHERE d.id = c.id

-- name: hold_back
INSERT INTO routing_heldinstance
    (version_id, study_id, decision_id, rule_name, reason, state, held_at, ended_by, ended_reason)
SELECT id, %(study_id)s, %(decision_id)s, %(rule_name)s, %(reason)s, 'held', now(), '', ''
FROM unnest(%(version_ids)s::bigint[]) AS wanted (id)
ON CONFLICT (version_id) DO NOTHING
RETURNING version_id

-- name: note_problems
INSERT INTO routing_ruleproblem (version, rule_name, message, count, first_at, last_at)
SELECT %(version)s, name, message, 1, now(), now()
FROM unnest(%(names)s::text[], %(messages)s::text[]) AS found (name, message)
ORDER BY name
ON CONFLICT (version, rule_name) DO UPDATE
SET message = EXCLUDED.message, count = routing_ruleproblem.count + 1, last_at = now()
RETURNING count = 1 OR first_at < now() - interval '1 minute'

-- name: recent_failure
SELECT EXISTS (
  SELECT FROM facts_fact WHERE kind = 'RuleFailed' AND id > (SELECT COALESCE(max(id), 0) - 10000 FROM facts_fact)
    AND created_at > now() - interval '1 minute' AND (payload ->> 'version')::int = %(version)s
)

-- name: confirmed_among
SELECT version_id, node_id FROM transfers_delivery
WHERE version_id = ANY(%(version_ids)s::bigint[]) AND node_id = ANY(%(node_ids)s::bigint[]) AND status = 'confirmed'

-- name: decided_rules
SELECT DISTINCT rule_name FROM routing_decision WHERE study_id = %(study_id)s AND action ->> 'mode' = 'order'

-- name: defer_quiet
-- One job per study and quiet time may wait; what arrives meanwhile makes it look again later.
INSERT INTO procrastinate_jobs (queue_name, task_name, priority, queueing_lock, args, scheduled_at)
SELECT 'routing', 'gantry.routing.work.route_quiet', 0, 'quiet-' || study_id || '-' || %(seconds)s::text,
       jsonb_build_object('study_id', study_id, 'quiet_seconds', %(seconds)s::float8), %(at)s::timestamptz
FROM unnest(%(study_ids)s::bigint[]) AS wanted (study_id)
ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING
