-- What was written in what is now the future: the clock was set back. Each statement may run any number of times.

-- name: due_again
UPDATE transfers_delivery SET next_attempt_at = now(), updated_at = now()
WHERE status IN ('waiting', 'failed') AND next_attempt_at > now() AND updated_at > now() + make_interval(secs => %(slack)s)

-- name: shorten_leases
-- A run that lives renews them all the time; of one that died they end by time.
UPDATE transfers_delivery
SET lease_until = now() + make_interval(secs => %(lease_seconds)s), next_attempt_at = now() + make_interval(secs => %(lease_seconds)s)
WHERE status = 'sent' AND next_attempt_at > now() + make_interval(secs => %(lease_seconds)s + %(slack)s)

-- name: verify_again
UPDATE transfers_delivery SET verify_at = now()
WHERE verify_at > now() AND confirmed_at > now() + make_interval(secs => %(slack)s)

-- name: end_pauses
UPDATE nodes_node SET retry_at = now() WHERE retry_at > now() AND last_failure_at > now() + make_interval(secs => %(slack)s)

-- name: start_jobs
-- What looks again by itself whether its time has come: quiet times of rules, retries, deliveries.
UPDATE procrastinate_jobs job SET scheduled_at = now()
WHERE job.status = 'todo' AND job.scheduled_at > now() AND EXISTS (
    SELECT 1 FROM procrastinate_events event
    WHERE event.job_id = job.id AND event.type IN ('deferred', 'started', 'deferred_for_retry')
      AND event.at > now() + make_interval(secs => %(slack)s)
)

-- name: free_periodic
-- These minutes come again; without this nothing that is due each minute would run before they are over.
DELETE FROM procrastinate_periodic_defers WHERE defer_timestamp > extract(epoch FROM now()) + %(slack)s

-- name: workers_again
-- A worker that died with the signs of life of that time would seem to live until it comes again, and its jobs with it.
-- One that lives gives its next sign within seconds.
UPDATE procrastinate_workers SET last_heartbeat = now() WHERE last_heartbeat > now() + make_interval(secs => %(slack)s)
