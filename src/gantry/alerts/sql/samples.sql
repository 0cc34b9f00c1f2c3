-- name: received
-- By the facts of the minute and the batches they name: both have an index, so the size of the catalogue does not matter.
WITH batch AS (
    SELECT date_trunc('minute', fact.created_at) AS at, (fact.payload->>'batch_id')::uuid AS id FROM facts_fact AS fact
    WHERE fact.kind = 'Arrived' AND fact.created_at >= %(since)s AND fact.created_at < %(until)s
)
INSERT INTO alerts_sample (step, at, measure, subject, value)
SELECT 'minute', sums.at, measure.name, sums.aet, measure.value
FROM (
    SELECT batch.at, version.calling_aet AS aet, count(*)::float8 AS instances, sum(version.dataset_bytes)::float8 AS bytes,
        greatest(0, max(extract(epoch FROM version.indexed_at - version.received_at)))::float8 AS lag
    FROM batch JOIN catalogue_version AS version ON version.batch_id = batch.id
    GROUP BY batch.at, version.calling_aet
) AS sums
CROSS JOIN LATERAL (VALUES ('received_instances', sums.instances), ('received_bytes', sums.bytes), ('index_lag', sums.lag))
    AS measure (name, value)
ON CONFLICT (step, measure, at, subject) DO UPDATE SET value = EXCLUDED.value

-- name: forwarded
INSERT INTO alerts_sample (step, at, measure, subject, value)
SELECT 'minute', sums.at, measure.name, sums.node, measure.value
FROM (
    SELECT date_trunc('minute', delivery.confirmed_at) AS at, node.name AS node, count(*)::float8 AS instances,
        sum(version.dataset_bytes)::float8 AS bytes
    FROM transfers_delivery AS delivery
    JOIN nodes_node AS node ON node.id = delivery.node_id
    JOIN catalogue_version AS version ON version.id = delivery.version_id
    WHERE delivery.confirmed_at >= %(since)s AND delivery.confirmed_at < %(until)s
    GROUP BY 1, 2
) AS sums
CROSS JOIN LATERAL (VALUES ('forwarded_instances', sums.instances), ('forwarded_bytes', sums.bytes)) AS measure (name, value)
ON CONFLICT (step, measure, at, subject) DO UPDATE SET value = EXCLUDED.value

-- name: roll_up
INSERT INTO alerts_sample (step, at, measure, subject, value)
SELECT %(into)s, date_trunc(%(into)s, at, 'UTC'), measure, subject, CASE WHEN measure = 'index_lag' THEN max(value) ELSE sum(value) END
FROM alerts_sample WHERE step = %(from)s AND at >= date_trunc(%(into)s, %(since)s::timestamptz, 'UTC')
GROUP BY 2, 3, 4
ON CONFLICT (step, measure, at, subject) DO UPDATE SET value = EXCLUDED.value

-- name: forget
DELETE FROM alerts_sample WHERE (step = 'minute' AND at < %(minutes)s) OR (step = 'hour' AND at < %(hours)s)

-- name: series
SELECT at, subject, value FROM alerts_sample
WHERE step = %(step)s AND measure = %(measure)s AND at >= %(since)s AND at < %(until)s
    AND (%(subject)s = '' OR subject = %(subject)s)
ORDER BY at, subject LIMIT %(limit)s
