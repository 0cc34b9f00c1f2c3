-- Statements of routing. Parameters are named; see routing/work.py.

-- name: load_rules
SELECT r.name, r.conditions, array_agg(n.id ORDER BY n.id) AS node_ids
FROM routing_rule r
JOIN routing_rule_destinations d ON d.rule_id = r.id
JOIN nodes_node n ON n.id = d.node_id AND n.removed_at IS NULL
WHERE r.enabled AND r.trigger = %(trigger)s
GROUP BY r.id
ORDER BY r.name

-- name: versions_of_batch
SELECT v.id, v.header, v.calling_aet, v.called_aet, v.remote_address, v.origin
FROM catalogue_version v
WHERE v.batch_id = %(batch_id)s AND v.id > %(after)s
ORDER BY v.id
LIMIT %(limit)s

-- name: versions_of_study
SELECT v.id, v.header, v.calling_aet, v.called_aet, v.remote_address, v.origin
FROM catalogue_series s
JOIN catalogue_instance i ON i.series_id = s.id
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
WHERE s.study_id = %(study_id)s AND v.id > %(after)s
ORDER BY v.id
LIMIT %(limit)s
