-- C-MOVEs of ours into our own receiver, and what comes with them.

-- name: await_move
INSERT INTO catalogue_awaitedmove (aet, message_id, began_at) VALUES (%(aet)s, %(message_id)s, now())
ON CONFLICT (aet, message_id) DO NOTHING
RETURNING id

-- name: old_moves
-- Left by processes that were killed: nobody asks for them any more.
SELECT id FROM catalogue_awaitedmove WHERE began_at < now() - interval '7 days'

-- name: forget_moves
DELETE FROM catalogue_awaitedmove WHERE id = ANY(%(ids)s::bigint[])

-- name: forget_moved
DELETE FROM catalogue_moved WHERE move_id = ANY(%(ids)s::bigint[])

-- name: note_moved
INSERT INTO catalogue_moved (move_id, study_instance_uid, sop_instance_uid, sha256)
SELECT m.id, n.study, n.uid, n.digest
FROM unnest(%(aets)s::text[], %(message_ids)s::int[], %(studies)s::text[], %(uids)s::text[], %(digests)s::bytea[])
  AS n (aet, message_id, study, uid, digest)
JOIN catalogue_awaitedmove m ON m.aet = n.aet AND m.message_id = n.message_id
ORDER BY m.id, n.uid, n.digest
ON CONFLICT (move_id, sop_instance_uid, sha256) DO NOTHING

-- name: moved_count
SELECT count(*) FROM catalogue_moved WHERE move_id = ANY(%(ids)s::bigint[])

-- name: moved_after
SELECT id, study_instance_uid, sop_instance_uid, sha256
FROM catalogue_moved WHERE move_id = ANY(%(ids)s::bigint[]) AND id > %(after)s

-- name: brought_by
-- Those that are here, and whether one of the senders brought one of their versions and named no C-MOVE.
SELECT i.sop_instance_uid, bool_or(v.move_originator_id IS NULL AND v.calling_aet = ANY(%(senders)s::text[]))
FROM unnest(%(uids)s::text[]) AS wanted (uid)
JOIN catalogue_instance i ON i.sop_instance_uid = wanted.uid
JOIN catalogue_version v ON v.instance_id = i.id
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
WHERE st.trashed_at IS NULL
GROUP BY 1
