-- name: take_webhooks
-- One dispatcher at a time per webhook.
SELECT id, kinds, position FROM alerts_webhook WHERE enabled ORDER BY id FOR UPDATE SKIP LOCKED

-- name: insert_notices
INSERT INTO alerts_notice (webhook_id, kind, body, state, explanation)
SELECT %(webhook_id)s, notice.kind, notice.body, 'waiting', ''
FROM unnest(%(kinds)s::text[], %(bodies)s::text[]) AS notice (kind, body)

-- name: advance
UPDATE alerts_webhook SET position = %(position)s WHERE id = %(webhook_id)s

-- name: alert_of_fact
SELECT id, rule, subject, state, message, remedy, opened_at, closed_at FROM alerts_alert WHERE id = ANY (%(ids)s::bigint[])

-- name: due
-- The oldest waiting notice of each webhook that is not held back; those that do not answer come last.
SELECT DISTINCT ON (webhook.failures, webhook.id)
    webhook.id, webhook.name, webhook.url, webhook.secret, webhook.failures, notice.id, notice.kind, notice.body, notice.attempts
FROM alerts_webhook AS webhook JOIN alerts_notice AS notice ON notice.webhook_id = webhook.id AND notice.state = 'waiting'
-- A pause longer than the longest there is was made before the clock was set back.
WHERE webhook.enabled AND (webhook.not_before IS NULL OR webhook.not_before <= now()
        OR webhook.not_before > now() + interval '7 hours')
    AND webhook.id <> ALL (%(busy)s::bigint[])
ORDER BY webhook.failures, webhook.id, notice.id
LIMIT %(limit)s

-- name: sent
WITH done AS (
    UPDATE alerts_notice SET state = 'sent', attempts = attempts + 1, status = %(status)s, explanation = '', finished_at = now()
    WHERE id = %(notice_id)s RETURNING webhook_id
)
UPDATE alerts_webhook SET failures = 0, not_before = NULL FROM done WHERE id = done.webhook_id

-- name: failed
WITH tried AS (
    UPDATE alerts_notice SET attempts = attempts + 1, status = %(status)s, explanation = %(explanation)s,
        state = CASE WHEN %(dead)s THEN 'dead' ELSE state END, finished_at = CASE WHEN %(dead)s THEN now() END
    WHERE id = %(notice_id)s RETURNING webhook_id
)
UPDATE alerts_webhook SET failures = failures + 1, not_before = now() + make_interval(secs => %(pause)s::float8),
    enabled = enabled AND NOT %(gone)s
FROM tried WHERE id = tried.webhook_id

-- name: expire
UPDATE alerts_notice SET state = 'dead', explanation = 'it waited too long', finished_at = now()
WHERE state = 'waiting' AND created_at < %(before)s

-- name: prune
DELETE FROM alerts_notice WHERE created_at < %(before)s AND state <> 'waiting'

-- name: backlog
SELECT count(*) FROM alerts_notice WHERE webhook_id = %(webhook_id)s AND state = 'waiting'

-- name: take_turn
-- There is work, and nobody else does it. "hook" in ASCII; not a lock of the queue, which outlives a killed worker.
SELECT EXISTS (SELECT 1 FROM alerts_webhook WHERE enabled) AND pg_try_advisory_lock(1752133483)
