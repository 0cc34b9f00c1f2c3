-- name: positions
SELECT segment, "offset" FROM intake_spoolposition

-- name: advance
INSERT INTO intake_spoolposition (segment, "offset", updated_at)
SELECT segment, reached, %(now)s FROM unnest(%(segments)s::text[], %(offsets)s::bigint[]) AS p (segment, reached)
ORDER BY segment
ON CONFLICT (segment) DO UPDATE
  SET "offset" = greatest(intake_spoolposition."offset", excluded."offset"), updated_at = excluded.updated_at

-- name: forget_positions
DELETE FROM intake_spoolposition WHERE segment = ANY(%(segments)s::text[])

-- name: hold
INSERT INTO intake_quarantinedobject
  (id, reason, explanation, state, origin, calling_aet, called_aet, remote_address, transfer_syntax_uid, sha256,
   file_path, file_bytes, dataset_offset, received_at, quarantined_at)
VALUES (%(id)s, %(reason)s, %(explanation)s, 'held', %(origin)s, %(calling_aet)s, %(called_aet)s, %(remote_address)s,
        %(transfer_syntax_uid)s, %(sha256)s, %(file_path)s, %(file_bytes)s, %(dataset_offset)s, %(received_at)s, %(now)s)
ON CONFLICT (id) DO UPDATE
  SET state = 'held', reason = excluded.reason, explanation = excluded.explanation, origin = excluded.origin,
      calling_aet = excluded.calling_aet, called_aet = excluded.called_aet, remote_address = excluded.remote_address,
      transfer_syntax_uid = excluded.transfer_syntax_uid, file_bytes = excluded.file_bytes,
      dataset_offset = excluded.dataset_offset,
      received_at = excluded.received_at, quarantined_at = excluded.quarantined_at
  WHERE intake_quarantinedobject.state <> 'held'

-- name: imported
SELECT v.sha256, i.sop_instance_uid, v.received_at,
       EXISTS (SELECT FROM catalogue_version o WHERE o.instance_id = v.instance_id AND o.id < v.id) AS later
FROM unnest(%(uids)s::text[], %(digests)s::bytea[]) AS wanted (uid, sha256)
JOIN catalogue_instance i ON i.sop_instance_uid = wanted.uid
JOIN catalogue_version v ON v.instance_id = i.id AND v.sha256 = wanted.sha256

-- name: held_now
SELECT id, explanation FROM intake_quarantinedobject WHERE id = ANY(%(ids)s::uuid[]) AND state = 'held'

-- name: known_paths
-- Those that are doomed, too: their rows are gone, and they will be.
SELECT file_path FROM catalogue_version WHERE file_path = ANY(%(paths)s::text[])
UNION ALL
SELECT file_path FROM catalogue_doomedfile WHERE file_path = ANY(%(paths)s::text[])
UNION ALL
SELECT file_path FROM intake_quarantinedobject WHERE file_path = ANY(%(paths)s::text[]) AND state IN ('held', 'accepted')

-- name: lock_held
SELECT file_path FROM intake_quarantinedobject WHERE id = %(id)s AND state IN ('held', 'accepted') FOR UPDATE

-- name: held_source
SELECT file_path, calling_aet, called_aet, remote_address, received_at
FROM intake_quarantinedobject WHERE id = %(id)s AND state = 'held'

-- name: get_held
SELECT id, reason, explanation, state, origin, calling_aet, called_aet, remote_address, transfer_syntax_uid, sha256,
       file_path, file_bytes, received_at, quarantined_at
FROM intake_quarantinedobject WHERE id = %(id)s

-- name: decide
UPDATE intake_quarantinedobject
SET state = %(state)s, decided_by = %(who)s, decided_at = now(), decision_reason = %(reason)s
WHERE id = %(id)s

-- name: list_held
SELECT id, reason, explanation, state, origin, calling_aet, called_aet, remote_address, transfer_syntax_uid, sha256,
       file_path, file_bytes, received_at, quarantined_at
FROM intake_quarantinedobject
WHERE (%(state)s::text IS NULL OR state = %(state)s::text)
  AND (%(before_at)s::timestamptz IS NULL
       OR (quarantined_at, id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
ORDER BY quarantined_at DESC, id DESC
LIMIT %(limit)s

-- name: every_held
SELECT file_path, sha256, dataset_offset, file_bytes - dataset_offset
FROM intake_quarantinedobject
WHERE state IN ('held', 'accepted')
ORDER BY id

-- name: place_of_held
SELECT file_path, dataset_offset FROM intake_quarantinedobject WHERE id = %(id)s AND state IN ('held', 'accepted')

-- name: place_of_version
SELECT v.file_path, v.dataset_offset
FROM catalogue_version v
JOIN catalogue_instance i ON i.id = v.instance_id
WHERE i.sop_instance_uid = %(uid)s AND v.sha256 = %(sha256)s

-- name: restored
UPDATE catalogue_version
SET dataset_offset = %(dataset_offset)s, file_bytes = %(file_bytes)s, file_path = %(now_path)s, volume_id = %(volume_id)s
WHERE file_path = %(path)s
  AND (dataset_offset, file_bytes, file_path) <> (%(dataset_offset)s, %(file_bytes)s, %(now_path)s)
