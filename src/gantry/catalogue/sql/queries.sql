-- name: locate
SELECT v.id AS version_id, st.id AS study_id, st.study_instance_uid, se.series_instance_uid, i.sop_instance_uid,
       i.sop_class_uid, v.transfer_syntax_uid, v.file_path, v.file_bytes, v.dataset_offset, v.dataset_bytes, v.sha256,
       v.current
FROM catalogue_version v
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
WHERE (%(version_ids)s::bigint[] IS NULL OR v.id = ANY(%(version_ids)s::bigint[]))
  AND (%(study_id)s::bigint IS NULL OR (se.study_id = %(study_id)s::bigint AND v.current))
  AND (%(batch_id)s::uuid IS NULL OR v.batch_id = %(batch_id)s::uuid)
ORDER BY st.id, se.id, i.instance_number NULLS LAST, i.id, v.id

-- name: every_location
SELECT v.id AS version_id, st.id AS study_id, st.study_instance_uid, se.series_instance_uid, i.sop_instance_uid,
       i.sop_class_uid, v.transfer_syntax_uid, v.file_path, v.file_bytes, v.dataset_offset, v.dataset_bytes, v.sha256,
       v.current
FROM catalogue_version v
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
WHERE %(everywhere)s OR v.volume_id = ANY(%(volume_ids)s::bigint[]) OR (v.volume_id IS NULL AND %(own_objects)s)
ORDER BY v.file_path

-- name: settle_due
WITH due AS (
  SELECT s.id
  FROM catalogue_study s
  WHERE s.settled_at IS NULL
    AND (s.last_indexed_at <= %(quiet_since)s OR s.last_indexed_at > %(impossible)s)
    AND (NOT %(on_association_end)s
         OR s.last_indexed_at <= %(stale_since)s
         OR NOT EXISTS (SELECT FROM catalogue_openassociation o WHERE o.study_id = s.id))
  ORDER BY s.last_indexed_at
  LIMIT %(limit)s
  FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE catalogue_study s SET settled_at = %(now)s FROM due WHERE s.id = due.id RETURNING s.id

-- name: open_associations
INSERT INTO catalogue_openassociation (association_id, study_id, slot, since)
SELECT o.association_id, o.study_id, o.slot, %(now)s
FROM unnest(%(association_ids)s::uuid[], %(study_ids)s::bigint[], %(slots)s::text[]) AS o (association_id, study_id, slot)
ORDER BY 1, 2
ON CONFLICT (association_id, study_id) DO NOTHING

-- name: close_associations
DELETE FROM catalogue_openassociation WHERE association_id = ANY(%(association_ids)s::uuid[])

-- name: close_slot
DELETE FROM catalogue_openassociation WHERE slot = ANY(%(slots)s::text[])
