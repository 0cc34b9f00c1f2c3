-- name: find_series
SELECT se.id, st.study_instance_uid, se.series_instance_uid, se.modality, se.series_number, se.series_description,
       se.body_part_examined, se.protocol_name, se.manufacturer, se.manufacturer_model_name, se.station_name,
       se.series_date, se.series_time, se.instance_count, se.size_bytes, se.first_received_at, se.last_received_at
FROM catalogue_series se
JOIN catalogue_study st ON st.id = se.study_id
WHERE se.instance_count > 0
  AND /* seen */ TRUE
  AND (%(study_uid)s::text IS NULL OR st.study_instance_uid = %(study_uid)s::text)
  AND (%(uid)s::text IS NULL OR se.series_instance_uid = %(uid)s::text)
  AND (%(modality)s::text IS NULL OR se.modality = %(modality)s::text)
  AND (%(after_id)s::bigint IS NULL OR se.id < %(after_id)s::bigint)
ORDER BY se.id DESC
LIMIT %(limit)s

-- name: find_instances
SELECT i.id, st.study_instance_uid, se.series_instance_uid, i.sop_instance_uid, i.sop_class_uid, i.instance_number,
       i.number_of_frames, i.rows, i.columns, i.version_count, v.id AS version_id, v.sha256, v.transfer_syntax_uid,
       v.dataset_bytes, v.file_bytes, v.file_path, v.origin, v.calling_aet, v.called_aet, v.remote_address,
       v.received_at, v.indexed_at, v.warnings, /* level */ 'full' AS patient_level, st.id AS study_row
FROM catalogue_instance i
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
WHERE /* seen */ TRUE
  AND (%(study_uid)s::text IS NULL OR st.study_instance_uid = %(study_uid)s::text)
  AND (%(series_uid)s::text IS NULL OR se.series_instance_uid = %(series_uid)s::text)
  AND (%(uid)s::text IS NULL OR i.sop_instance_uid = %(uid)s::text)
  AND (%(class_uid)s::text IS NULL OR i.sop_class_uid = %(class_uid)s::text)
  AND (%(after_id)s::bigint IS NULL OR i.id < %(after_id)s::bigint)
ORDER BY i.id DESC
LIMIT %(limit)s
