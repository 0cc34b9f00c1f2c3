-- name: lookup_versions
SELECT i.sop_instance_uid, v.sha256, st.study_instance_uid, v.file_path, st.trashed_at IS NOT NULL
FROM unnest(%(uids)s::text[]) AS wanted (uid)
JOIN catalogue_instance i ON i.sop_instance_uid = wanted.uid
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
JOIN catalogue_version v ON v.instance_id = i.id

-- name: existing_studies
SELECT study_instance_uid FROM catalogue_study WHERE study_instance_uid = ANY(%(uids)s::text[])

-- name: insert_patients
INSERT INTO catalogue_patient
  (patient_id, issuer_of_patient_id, anchor, patient_name, patient_sex, study_count, created_at)
SELECT patient_id, issuer, anchor, '', '', 0, %(now)s
FROM unnest(%(patient_ids)s::text[], %(issuers)s::text[], %(anchors)s::text[]) AS p (patient_id, issuer, anchor)
ORDER BY 1, 2, 3
ON CONFLICT (patient_id, issuer_of_patient_id, anchor) DO NOTHING
RETURNING id

-- name: insert_studies
INSERT INTO catalogue_study
  (patient_id, study_instance_uid, study_time, accession_number, study_id, study_description,
   referring_physician_name, institution_name, modalities, series_count, instance_count, size_bytes,
   conflict_count, first_received_at, last_received_at, last_indexed_at)
SELECT p.id, s.uid, '', '', '', '', '', '', '{}', 0, 0, 0, 0, s.first_at, s.first_at, %(now)s
FROM unnest(%(patient_ids)s::text[], %(issuers)s::text[], %(anchors)s::text[], %(uids)s::text[],
            %(firsts)s::timestamptz[]) AS s (patient_id, issuer, anchor, uid, first_at)
JOIN catalogue_patient p
  ON p.patient_id = s.patient_id AND p.issuer_of_patient_id = s.issuer AND p.anchor = s.anchor
ORDER BY s.uid
ON CONFLICT (study_instance_uid) DO NOTHING
RETURNING patient_id

-- name: drop_unused_patients
DELETE FROM catalogue_patient p
WHERE p.id = ANY(%(ids)s::bigint[]) AND NOT EXISTS (SELECT FROM catalogue_study s WHERE s.patient_id = p.id)

-- name: lock_studies
SELECT s.id, s.study_instance_uid, s.patient_id, p.patient_id, p.issuer_of_patient_id, p.anchor, p.patient_name,
       p.patient_birth_date, p.patient_sex, s.trashed_at IS NOT NULL
FROM catalogue_study s
JOIN catalogue_patient p ON p.id = s.patient_id
WHERE s.study_instance_uid = ANY(%(uids)s::text[])
ORDER BY s.study_instance_uid
FOR NO KEY UPDATE OF s

-- name: insert_series
INSERT INTO catalogue_series
  (study_id, series_instance_uid, modality, series_description, body_part_examined, protocol_name, manufacturer,
   manufacturer_model_name, station_name, series_time, instance_count, size_bytes, first_received_at,
   last_received_at)
SELECT study_id, uid, '', '', '', '', '', '', '', '', 0, 0, first_at, first_at
FROM unnest(%(study_ids)s::bigint[], %(uids)s::text[], %(firsts)s::timestamptz[]) AS s (study_id, uid, first_at)
ORDER BY 1, 2
ON CONFLICT (study_id, series_instance_uid) DO NOTHING

-- name: select_series
SELECT s.id, s.study_id, s.series_instance_uid
FROM unnest(%(study_ids)s::bigint[], %(uids)s::text[]) AS wanted (study_id, uid)
JOIN catalogue_series s ON s.study_id = wanted.study_id AND s.series_instance_uid = wanted.uid

-- name: insert_instances
INSERT INTO catalogue_instance
  (series_id, sop_instance_uid, sop_class_uid, instance_number, number_of_frames, rows, columns, version_count,
   created_at)
SELECT series_id, uid, class_uid, number, frames, n_rows, n_columns, 1, %(now)s
FROM unnest(%(series_ids)s::bigint[], %(uids)s::text[], %(classes)s::text[], %(numbers)s::bigint[],
            %(frames)s::bigint[], %(rows)s::int[], %(columns)s::int[])
  AS i (series_id, uid, class_uid, number, frames, n_rows, n_columns)
ORDER BY uid
ON CONFLICT (sop_instance_uid) DO NOTHING
RETURNING id, sop_instance_uid

-- name: lock_instances
SELECT i.id, i.sop_instance_uid, i.series_id, se.study_id, se.series_instance_uid, st.study_instance_uid
FROM catalogue_instance i
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
WHERE i.sop_instance_uid = ANY(%(uids)s::text[])
ORDER BY i.sop_instance_uid
FOR NO KEY UPDATE OF i

-- name: versions_of_instances
SELECT instance_id, sha256, dataset_bytes, current FROM catalogue_version WHERE instance_id = ANY(%(ids)s::bigint[])

-- name: update_instances
UPDATE catalogue_instance i
SET series_id = n.series_id, sop_class_uid = n.class_uid, instance_number = n.number, number_of_frames = n.frames,
    rows = n.n_rows, columns = n.n_columns, version_count = i.version_count + 1
FROM unnest(%(ids)s::bigint[], %(series_ids)s::bigint[], %(classes)s::text[], %(numbers)s::bigint[],
            %(frames)s::bigint[], %(rows)s::int[], %(columns)s::int[])
  AS n (id, series_id, class_uid, number, frames, n_rows, n_columns)
WHERE i.id = n.id

-- name: retire_versions
UPDATE catalogue_version SET current = false WHERE instance_id = ANY(%(ids)s::bigint[]) AND current

-- name: copy_versions
COPY catalogue_version
  (instance_id, sha256, dataset_offset, dataset_bytes, file_path, file_bytes, transfer_syntax_uid, origin,
   calling_aet, called_aet, remote_address, association_id, batch_id, received_at, indexed_at, current, header,
   warnings, volume_id, move_originator_aet, move_originator_id)
FROM STDIN

-- name: record_conflicts
INSERT INTO catalogue_conflict
  (kind, key, study_id, instance_id, details, seen_count, first_seen_at, last_seen_at)
SELECT kind, key, study_id, instance_id, details::jsonb, seen, %(now)s, %(now)s
FROM unnest(%(kinds)s::text[], %(keys)s::text[], %(study_ids)s::bigint[], %(instance_ids)s::bigint[],
            %(details)s::text[], %(seen)s::int[]) AS c (kind, key, study_id, instance_id, details, seen)
ORDER BY kind, key
ON CONFLICT (kind, key) DO UPDATE
  SET seen_count = catalogue_conflict.seen_count + excluded.seen_count, last_seen_at = excluded.last_seen_at
RETURNING study_id, xmax = 0

-- name: update_series
UPDATE catalogue_series s
SET instance_count = s.instance_count + n.instances,
    size_bytes = s.size_bytes + n.bytes,
    first_received_at = least(s.first_received_at, n.first_at),
    last_received_at = greatest(s.last_received_at, n.last_at),
    modality = coalesce(nullif(s.modality, ''), n.modality, ''),
    series_number = coalesce(s.series_number, n.number),
    series_description = coalesce(nullif(s.series_description, ''), n.description, ''),
    body_part_examined = coalesce(nullif(s.body_part_examined, ''), n.body_part, ''),
    protocol_name = coalesce(nullif(s.protocol_name, ''), n.protocol, ''),
    manufacturer = coalesce(nullif(s.manufacturer, ''), n.manufacturer, ''),
    manufacturer_model_name = coalesce(nullif(s.manufacturer_model_name, ''), n.model, ''),
    station_name = coalesce(nullif(s.station_name, ''), n.station, ''),
    series_date = coalesce(s.series_date, n.series_date),
    series_time = coalesce(nullif(s.series_time, ''), n.series_time, '')
FROM unnest(%(ids)s::bigint[], %(instances)s::int[], %(bytes)s::bigint[], %(firsts)s::timestamptz[],
            %(lasts)s::timestamptz[], %(modalities)s::text[], %(numbers)s::bigint[], %(descriptions)s::text[],
            %(body_parts)s::text[], %(protocols)s::text[], %(manufacturers)s::text[], %(models)s::text[],
            %(stations)s::text[], %(dates)s::date[], %(times)s::text[])
  AS n (id, instances, bytes, first_at, last_at, modality, number, description, body_part, protocol, manufacturer,
        model, station, series_date, series_time)
WHERE s.id = n.id
RETURNING s.study_id, s.instance_count, n.instances

-- name: update_studies
UPDATE catalogue_study s
SET instance_count = s.instance_count + n.instances,
    size_bytes = s.size_bytes + n.bytes,
    series_count = s.series_count + n.series,
    conflict_count = s.conflict_count + n.conflicts,
    modalities = CASE WHEN s.modalities @> string_to_array(n.modalities, E'\\') THEN s.modalities ELSE
      (SELECT array_agg(DISTINCT m ORDER BY m) FROM unnest(s.modalities || string_to_array(n.modalities, E'\\')) AS m) END,
    first_received_at = least(s.first_received_at, n.first_at),
    last_received_at = greatest(s.last_received_at, n.last_at),
    last_indexed_at = CASE WHEN n.last_at IS NULL THEN s.last_indexed_at ELSE %(now)s END,
    settled_at = CASE WHEN n.last_at IS NULL THEN s.settled_at END,
    study_date = coalesce(s.study_date, n.study_date),
    study_time = coalesce(nullif(s.study_time, ''), n.study_time, ''),
    accession_number = coalesce(nullif(s.accession_number, ''), n.accession, ''),
    study_id = coalesce(nullif(s.study_id, ''), n.study_id, ''),
    study_description = coalesce(nullif(s.study_description, ''), n.description, ''),
    referring_physician_name = coalesce(nullif(s.referring_physician_name, ''), n.physician, ''),
    referring_physician_search = CASE WHEN s.referring_physician_name = '' THEN n.physician_search
                                      ELSE s.referring_physician_search END,
    institution_name = coalesce(nullif(s.institution_name, ''), n.institution, '')
FROM unnest(%(ids)s::bigint[], %(instances)s::int[], %(bytes)s::bigint[], %(series)s::int[], %(conflicts)s::int[],
            %(modalities)s::text[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[], %(dates)s::date[],
            %(times)s::text[], %(accessions)s::text[], %(study_ids)s::text[], %(descriptions)s::text[],
            %(physicians)s::text[], %(physician_searches)s::text[], %(institutions)s::text[])
  AS n (id, instances, bytes, series, conflicts, modalities, first_at, last_at, study_date, study_time, accession,
        study_id, description, physician, physician_search, institution)
WHERE s.id = n.id

-- name: lock_patients
SELECT id FROM catalogue_patient WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR NO KEY UPDATE

-- name: update_patients
UPDATE catalogue_patient p
SET study_count = p.study_count + n.studies,
    name_alphabetic = CASE WHEN p.patient_name = '' THEN n.alphabetic ELSE p.name_alphabetic END,
    name_ideographic = CASE WHEN p.patient_name = '' THEN n.ideographic ELSE p.name_ideographic END,
    name_phonetic = CASE WHEN p.patient_name = '' THEN n.phonetic ELSE p.name_phonetic END,
    patient_name = coalesce(nullif(p.patient_name, ''), n.name, ''),
    patient_birth_date = coalesce(p.patient_birth_date, n.birth_date),
    patient_sex = coalesce(nullif(p.patient_sex, ''), n.sex, '')
FROM unnest(%(ids)s::bigint[], %(studies)s::int[], %(names)s::text[], %(alphabetic)s::text[], %(ideographic)s::text[],
            %(phonetic)s::text[], %(birth_dates)s::date[], %(sexes)s::text[])
  AS n (id, studies, name, alphabetic, ideographic, phonetic, birth_date, sex)
WHERE p.id = n.id
