-- name: see
INSERT INTO alerts_alert AS alert (rule, subject, state, message, remedy, first_at, last_at, acknowledged_by)
VALUES (%(rule)s, %(subject)s, 'seen', %(message)s, %(remedy)s, %(now)s, %(now)s, '')
ON CONFLICT (rule, subject) WHERE state <> 'closed'
DO UPDATE SET message = EXCLUDED.message, remedy = EXCLUDED.remedy, last_at = EXCLUDED.last_at, absent_since = NULL
RETURNING id, state, first_at

-- name: open
UPDATE alerts_alert SET state = 'open', opened_at = %(now)s WHERE id = %(id)s

-- name: pass_over
-- What was seen once and is gone again was nothing.
DELETE FROM alerts_alert
WHERE state = 'seen' AND rule || E'\n' || subject <> ALL (%(present)s::text[]) AND rule <> ALL (%(failed)s::text[])

-- name: miss
UPDATE alerts_alert SET absent_since = %(now)s
WHERE state IN ('open', 'acknowledged') AND absent_since IS NULL
    AND rule || E'\n' || subject <> ALL (%(present)s::text[]) AND rule <> ALL (%(failed)s::text[])

-- name: close
UPDATE alerts_alert SET state = 'closed', closed_at = %(now)s
WHERE state IN ('open', 'acknowledged') AND absent_since <= %(before)s
    AND rule || E'\n' || subject <> ALL (%(present)s::text[]) AND rule <> ALL (%(failed)s::text[])
RETURNING id

-- name: destinations_down
SELECT node.name, node.last_success_at, node.last_error
FROM nodes_node AS node
WHERE node.enabled AND node.removed_at IS NULL AND node.failure_count >= 3
    AND EXISTS (SELECT 1 FROM transfers_delivery AS delivery
                WHERE delivery.node_id = node.id AND delivery.status IN ('waiting', 'failed', 'sent'))
ORDER BY node.name

-- name: old_queues
SELECT node.name, oldest.created_at, node.failure_count >= 3
FROM nodes_node AS node
CROSS JOIN LATERAL (
    SELECT min(few.created_at) AS created_at FROM (
        SELECT delivery.created_at FROM transfers_delivery AS delivery
        WHERE delivery.node_id = node.id AND delivery.status IN ('waiting', 'failed', 'sent')
        ORDER BY delivery.next_attempt_at, delivery.id LIMIT 1000
    ) AS few
) AS oldest
WHERE node.enabled AND node.removed_at IS NULL AND oldest.created_at < %(before)s
ORDER BY node.name

-- name: dead_deliveries
SELECT node.name, count(*) FROM transfers_delivery AS delivery JOIN nodes_node AS node ON node.id = delivery.node_id
WHERE delivery.status = 'dead' AND delivery.updated_at > %(since)s GROUP BY node.name ORDER BY node.name

-- name: damage
SELECT kind, count(*) FROM intake_scrubfinding
WHERE ended_at IS NULL AND kind IN ('missing', 'damaged') AND action = '' GROUP BY kind ORDER BY kind

-- name: bad_rules
-- What the fact RuleFailed announces, of the rules that decide now: those of a version that was replaced are over.
SELECT problem.rule_name, problem.message
FROM routing_ruleproblem AS problem
JOIN routing_ruleset AS active ON active.version = problem.version AND active.state = 'active'
WHERE problem.last_at > %(since)s ORDER BY problem.rule_name LIMIT 50

-- name: dead_notices
SELECT webhook.name, count(*) FROM alerts_notice AS notice JOIN alerts_webhook AS webhook ON webhook.id = notice.webhook_id
WHERE notice.state = 'dead' AND notice.finished_at > %(since)s GROUP BY webhook.name ORDER BY webhook.name

-- name: volumes
SELECT name, path, state, note, reserve_bytes FROM storage_volume WHERE wanted <> 'off' ORDER BY name

-- name: silent
-- Of each AE: what came in these hours of the week in the weeks before, and what came now. Weeks before its first
-- object do not count; at least three must, and each of them must have brought something in these hours.
WITH heard AS (
    SELECT subject, min(at) AS first_at FROM alerts_sample
    WHERE step = 'hour' AND measure = 'received_instances' AND subject <> '' GROUP BY subject
),
week AS (
    SELECT heard.subject, back.number,
        (SELECT coalesce(sum(sample.value), 0) FROM alerts_sample AS sample
         WHERE sample.step = 'hour' AND sample.measure = 'received_instances' AND sample.subject = heard.subject
             AND sample.at >= %(begin)s::timestamptz - make_interval(days => 7 * back.number)
             AND sample.at < %(end)s::timestamptz - make_interval(days => 7 * back.number)) AS value
    FROM heard CROSS JOIN generate_series(0, %(weeks)s) AS back (number)
    WHERE heard.first_at <= %(begin)s::timestamptz - make_interval(days => 7 * back.number)
)
SELECT subject, avg(value) FILTER (WHERE number > 0)
FROM week GROUP BY subject
HAVING sum(value) FILTER (WHERE number = 0) = 0 AND count(*) FILTER (WHERE number > 0) >= 3
    AND min(value) FILTER (WHERE number > 0) > 0 AND avg(value) FILTER (WHERE number > 0) >= %(least)s
ORDER BY subject

-- name: index_lag
SELECT max(value) FROM alerts_sample WHERE step = 'minute' AND measure = 'index_lag' AND at >= %(since)s
