-- Protecting, holding, deleting, restoring and removing studies. A study in the trash has counts of 0 and no current
-- version, so that whatever shows or sends studies passes it over without asking.

-- name: lock_study
SELECT s.id, s.study_instance_uid, s.patient_id AS patient_row, p.patient_id, s.trashed_at, s.protected_at, s.protected_by,
       s.instance_count, s.size_bytes,
       ARRAY(SELECT h.label FROM catalogue_hold h WHERE h.study_id = s.id AND h.lifted_at IS NULL ORDER BY h.id) AS holds
FROM catalogue_study s
JOIN catalogue_patient p ON p.id = s.patient_id
WHERE s.study_instance_uid = %(uid)s
FOR NO KEY UPDATE OF s

-- name: hide_versions
UPDATE catalogue_version v SET current = false
FROM catalogue_instance i
JOIN catalogue_series se ON se.id = i.series_id
WHERE v.instance_id = i.id AND se.study_id = %(study_id)s AND v.current

-- name: hide_series
UPDATE catalogue_series SET instance_count = 0, size_bytes = 0 WHERE study_id = %(study_id)s

-- name: hide_study
UPDATE catalogue_study SET trashed_at = %(now)s, instance_count = 0, series_count = 0, size_bytes = 0 WHERE id = %(study_id)s

-- name: count_patient
UPDATE catalogue_patient SET study_count = study_count + %(change)s WHERE id = %(patient_row)s

-- name: insert_trash
INSERT INTO catalogue_trash
  (study_id, study_instance_uid, state, reason, trashed_by, trashed_at, expires_at, instance_count, size_bytes, ended_by)
VALUES (%(study_id)s, %(uid)s, 'trash', %(reason)s, %(who)s, %(now)s, %(expires_at)s, %(instances)s, %(bytes)s, '')
RETURNING id

-- name: trashed_among
SELECT s.id, s.study_instance_uid, s.patient_id, p.patient_id
FROM catalogue_study s JOIN catalogue_patient p ON p.id = s.patient_id
WHERE s.study_instance_uid = ANY(%(uids)s::text[]) AND s.trashed_at IS NOT NULL
ORDER BY s.study_instance_uid
FOR NO KEY UPDATE OF s

-- name: show_versions
-- The newest version of each instance is its current one, as before.
UPDATE catalogue_version v SET current = true
FROM (
    SELECT DISTINCT ON (o.instance_id) o.id
    FROM catalogue_version o
    JOIN catalogue_instance i ON i.id = o.instance_id
    JOIN catalogue_series se ON se.id = i.series_id
    WHERE se.study_id = %(study_id)s
    ORDER BY o.instance_id, o.id DESC
) newest
WHERE v.id = newest.id AND NOT v.current

-- name: show_series
UPDATE catalogue_series se SET instance_count = n.instances, size_bytes = n.bytes
FROM (
    SELECT i.series_id, count(*) AS instances, sum(v.dataset_bytes) AS bytes
    FROM catalogue_instance i
    JOIN catalogue_version v ON v.instance_id = i.id AND v.current
    JOIN catalogue_series x ON x.id = i.series_id
    WHERE x.study_id = %(study_id)s
    GROUP BY i.series_id
) n
WHERE se.id = n.series_id

-- name: show_study
UPDATE catalogue_study s
SET trashed_at = NULL, instance_count = n.instances, size_bytes = n.bytes, series_count = n.series
FROM (
    SELECT coalesce(sum(instance_count), 0) AS instances, coalesce(sum(size_bytes), 0) AS bytes,
           count(*) FILTER (WHERE instance_count > 0) AS series
    FROM catalogue_series WHERE study_id = %(study_id)s
) n
WHERE s.id = %(study_id)s
RETURNING s.instance_count

-- name: end_trash
UPDATE catalogue_trash SET state = %(state)s, ended_by = %(who)s, ended_at = %(now)s, receipt = %(receipt)s
WHERE study_id = %(study_id)s AND state = 'trash'
RETURNING id

-- name: list_trash
SELECT t.id, t.study_id, t.study_instance_uid, t.state, t.reason, t.trashed_by, t.trashed_at, t.expires_at, t.instance_count,
       t.size_bytes, t.ended_by, t.ended_at
FROM catalogue_trash t
WHERE (%(state)s::text IS NULL OR t.state = %(state)s::text)
  AND (%(uid)s::text IS NULL OR t.study_instance_uid = %(uid)s::text)
  AND (%(before)s::bigint IS NULL OR t.id < %(before)s::bigint)
ORDER BY t.id DESC
LIMIT %(limit)s

-- name: expired_trash
SELECT t.study_instance_uid FROM catalogue_trash t
JOIN catalogue_study s ON s.id = t.study_id
WHERE t.state = 'trash' AND t.expires_at <= %(now)s
ORDER BY t.expires_at, t.id LIMIT %(limit)s

-- name: receipt_of_removed
SELECT receipt, ended_at FROM catalogue_trash
WHERE study_instance_uid = %(uid)s AND state = 'removed' ORDER BY id DESC LIMIT 1

-- name: instances_of_study
SELECT i.id FROM catalogue_instance i JOIN catalogue_series se ON se.id = i.series_id
WHERE se.study_id = %(study_id)s ORDER BY i.id LIMIT %(limit)s

-- name: doom_files
INSERT INTO catalogue_doomedfile (file_path, volume_id, file_bytes, doomed_at)
SELECT v.file_path, v.volume_id, v.file_bytes, %(now)s FROM catalogue_version v WHERE v.instance_id = ANY(%(ids)s::bigint[])
ON CONFLICT (file_path) DO NOTHING
RETURNING file_bytes

-- name: drop_patient
DELETE FROM catalogue_patient p
WHERE p.id = %(patient_row)s AND NOT EXISTS (SELECT FROM catalogue_study s WHERE s.patient_id = p.id)

-- name: doomed
-- Those of the home's own objects and of these volumes, the oldest first.
SELECT d.file_path, d.volume_id, d.file_bytes, EXISTS (SELECT FROM catalogue_version v WHERE v.file_path = d.file_path)
FROM catalogue_doomedfile d
WHERE d.volume_id = ANY(%(volume_ids)s::bigint[]) OR (d.volume_id IS NULL AND %(home)s)
ORDER BY d.doomed_at, d.file_path
LIMIT %(limit)s

-- name: forget_doomed
DELETE FROM catalogue_doomedfile WHERE file_path = ANY(%(paths)s::text[])

-- name: set_protected
UPDATE catalogue_study SET protected_at = %(at)s, protected_by = %(who)s WHERE id = %(study_id)s

-- name: place_hold
INSERT INTO catalogue_hold (study_id, label, reason, placed_by, placed_at, lifted_by, lift_reason)
VALUES (%(study_id)s, %(label)s, %(reason)s, %(who)s, %(now)s, '', '')
ON CONFLICT (study_id, label) WHERE lifted_at IS NULL DO NOTHING
RETURNING id

-- name: lift_hold
UPDATE catalogue_hold SET lifted_by = %(who)s, lifted_at = %(now)s, lift_reason = %(reason)s
WHERE study_id = %(study_id)s AND label = %(label)s AND lifted_at IS NULL
RETURNING id

-- name: list_holds
SELECT h.id, s.study_instance_uid, h.label, h.reason, h.placed_by, h.placed_at, h.lifted_by, h.lifted_at, h.lift_reason
FROM catalogue_hold h
JOIN catalogue_study s ON s.id = h.study_id
WHERE (%(uid)s::text IS NULL OR s.study_instance_uid = %(uid)s::text) AND (%(ended)s OR h.lifted_at IS NULL)
  AND (%(before)s::bigint IS NULL OR h.id < %(before)s::bigint)
ORDER BY h.id DESC
LIMIT %(limit)s

-- name: list_rules
SELECT id, name, calling_aet, modality, days, after, enabled, created_by, created_at FROM catalogue_retentionrule ORDER BY name

-- name: put_rule
INSERT INTO catalogue_retentionrule AS known (name, calling_aet, modality, days, after, enabled, created_by, created_at)
VALUES (%(name)s, %(calling_aet)s, %(modality)s, %(days)s, %(after)s, %(enabled)s, %(who)s, %(now)s)
ON CONFLICT (name) DO UPDATE SET calling_aet = excluded.calling_aet, modality = excluded.modality, days = excluded.days,
  after = excluded.after, enabled = excluded.enabled
RETURNING id

-- name: drop_rule
DELETE FROM catalogue_retentionrule WHERE name = %(name)s RETURNING id

-- name: old_studies
-- Studies that nothing keeps, the oldest first, behind a place in that order; those of a rule, or with bytes on a volume.
SELECT s.id, s.study_instance_uid, s.last_received_at, s.size_bytes
FROM catalogue_study s
WHERE s.trashed_at IS NULL AND s.protected_at IS NULL AND s.settled_at IS NOT NULL AND s.instance_count > 0
  AND s.last_received_at < %(until)s
  AND NOT EXISTS (SELECT FROM catalogue_hold h WHERE h.study_id = s.id AND h.lifted_at IS NULL)
  AND (%(modality)s = '' OR s.modalities @> ARRAY[%(modality)s::text])
  AND (%(calling_aet)s = '' OR EXISTS (
      SELECT FROM catalogue_series se JOIN catalogue_instance i ON i.series_id = se.id
      JOIN catalogue_version v ON v.instance_id = i.id AND v.current
      WHERE se.study_id = s.id AND v.calling_aet = %(calling_aet)s))
  -- What a person took back out of the trash is not sent there again by a rule.
  AND (%(on_volume)s OR NOT EXISTS (
      SELECT FROM catalogue_trash t
      WHERE t.study_instance_uid = s.study_instance_uid AND t.state = 'restored' AND t.ended_by <> 'system'))
  AND (NOT %(on_volume)s OR EXISTS (
      SELECT FROM catalogue_series se JOIN catalogue_instance i ON i.series_id = se.id
      JOIN catalogue_version v ON v.instance_id = i.id
      WHERE se.study_id = s.id AND v.volume_id IS NOT DISTINCT FROM %(volume_id)s::bigint))
  AND (%(after_at)s::timestamptz IS NULL OR (s.last_received_at, s.id) > (%(after_at)s::timestamptz, %(after_id)s::bigint))
ORDER BY s.last_received_at, s.id
LIMIT %(limit)s
