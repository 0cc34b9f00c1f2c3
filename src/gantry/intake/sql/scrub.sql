-- name: open_scrub
INSERT INTO intake_scrub (home_id, state, phase, cursor, total_bytes, checked_files, checked_bytes, problems, mended, passes, note)
VALUES (%(home_id)s, 'idle', '', '', 0, 0, 0, 0, 0, 0, '')
ON CONFLICT (home_id) DO NOTHING

-- name: lock_scrub
SELECT pg_try_advisory_lock(hashtextextended('gantry-scrub-' || %(home_id)s::text, 0))

-- name: unlock_scrub
SELECT pg_advisory_unlock(hashtextextended('gantry-scrub-' || %(home_id)s::text, 0))

-- name: scrub
SELECT home_id, state, phase, cursor, asked_at, started_at, finished_at, updated_at, total_bytes, checked_files, checked_bytes,
       problems, mended, passes, note,
       (SELECT count(*) FROM intake_scrubfinding f WHERE f.home_id = s.home_id AND f.ended_at IS NULL) AS open_findings
FROM intake_scrub s WHERE home_id = %(home_id)s

-- name: ask_scrub
UPDATE intake_scrub SET asked_at = now() WHERE home_id = %(home_id)s

-- name: begin_pass
UPDATE intake_scrub
SET state = 'running', phase = 'versions', cursor = '', asked_at = NULL, started_at = now(), finished_at = NULL, updated_at = now(),
    checked_files = 0, checked_bytes = 0, problems = 0, mended = 0, note = '', total_bytes = %(total)s
WHERE home_id = %(home_id)s

-- name: total_bytes
SELECT coalesce(sum(used_bytes), 0) FROM storage_volume WHERE home_id = %(home_id)s

-- name: note_scrub
UPDATE intake_scrub
SET state = %(state)s, phase = %(phase)s, cursor = %(cursor)s, checked_files = checked_files + %(files)s,
    checked_bytes = checked_bytes + %(bytes)s, problems = problems + %(problems)s, mended = mended + %(mended)s,
    note = %(note)s, updated_at = now()
WHERE home_id = %(home_id)s

-- name: end_pass
UPDATE intake_scrub SET state = 'idle', phase = '', cursor = '', finished_at = now(), updated_at = now(), passes = passes + 1
WHERE home_id = %(home_id)s

-- name: versions_after
SELECT v.id, v.file_path, v.sha256, v.dataset_offset, v.dataset_bytes
FROM catalogue_version v
WHERE v.file_path > %(cursor)s
  AND (v.volume_id = ANY(%(volume_ids)s::bigint[]) OR (v.volume_id IS NULL AND %(own_objects)s))
ORDER BY v.file_path
LIMIT %(limit)s

-- name: held_after
SELECT NULL::bigint, h.file_path, h.sha256, h.dataset_offset, h.file_bytes - h.dataset_offset
FROM intake_quarantinedobject h
WHERE h.state IN ('held', 'accepted') AND h.file_path > %(cursor)s
ORDER BY h.file_path
LIMIT %(limit)s

-- name: still_there
-- Whether the row still says what was compared: it may have been replaced or removed meanwhile.
SELECT EXISTS (SELECT FROM catalogue_version WHERE id = %(id)s AND file_path = %(path)s)

-- name: note_finding
INSERT INTO intake_scrubfinding AS known
  (home_id, path, kind, version_id, explanation, found_at, seen_at, action, action_note, ended_at)
VALUES (%(home_id)s, %(path)s, %(kind)s, %(version_id)s, %(explanation)s, now(), now(), %(action)s, %(note)s,
        CASE WHEN %(ended)s THEN now() END)
ON CONFLICT (home_id, path) WHERE ended_at IS NULL
DO UPDATE SET kind = excluded.kind, version_id = excluded.version_id, explanation = excluded.explanation, seen_at = now(),
  action = excluded.action, action_note = excluded.action_note, ended_at = excluded.ended_at

-- name: end_findings
UPDATE intake_scrubfinding SET ended_at = now(), action = CASE WHEN action = '' THEN 'sound again' ELSE action END
WHERE home_id = %(home_id)s AND ended_at IS NULL AND path = ANY(%(paths)s::text[])

-- name: end_gone
-- Findings whose rows are gone: there is nothing left to miss.
UPDATE intake_scrubfinding f SET ended_at = now(), action = 'its row is gone'
WHERE f.home_id = %(home_id)s AND f.ended_at IS NULL AND f.version_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM catalogue_version v WHERE v.id = f.version_id AND v.file_path = f.path)

-- name: list_findings
SELECT id, path, kind, version_id, explanation, found_at, seen_at, action, action_note, ended_at
FROM intake_scrubfinding
WHERE home_id = %(home_id)s AND (%(ended)s OR ended_at IS NULL) AND (%(before)s::bigint IS NULL OR id < %(before)s::bigint)
ORDER BY id DESC
LIMIT %(limit)s
