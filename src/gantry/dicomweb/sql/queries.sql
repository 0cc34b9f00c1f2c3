-- name: instance
SELECT v.id AS version_id, st.id AS study_row, st.study_instance_uid, se.series_instance_uid, i.sop_instance_uid,
       i.sop_class_uid, v.transfer_syntax_uid, v.file_path, v.dataset_offset, v.dataset_bytes, v.file_bytes,
       se.modality, se.series_number, i.instance_number, p.patient_id, /* level */ 'full' AS patient_level
FROM catalogue_instance i
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
JOIN catalogue_patient p ON p.id = st.patient_id
WHERE i.sop_instance_uid = %(instance)s
  AND (%(series)s::text IS NULL OR se.series_instance_uid = %(series)s::text)
  AND (%(study)s::text IS NULL OR st.study_instance_uid = %(study)s::text)
  AND /* seen */ TRUE

-- name: series
SELECT v.id AS version_id, st.id AS study_row, st.study_instance_uid, se.series_instance_uid, i.sop_instance_uid,
       i.sop_class_uid, v.transfer_syntax_uid, v.file_path, v.dataset_offset, v.dataset_bytes, v.file_bytes,
       se.modality, se.series_number, i.instance_number, p.patient_id, /* level */ 'full' AS patient_level
FROM catalogue_series se
JOIN catalogue_instance i ON i.series_id = se.id
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
JOIN catalogue_study st ON st.id = se.study_id
JOIN catalogue_patient p ON p.id = st.patient_id
WHERE se.series_instance_uid = %(series)s
  AND (%(study)s::text IS NULL OR st.study_instance_uid = %(study)s::text)
  AND /* seen */ TRUE
ORDER BY i.instance_number NULLS LAST, i.id
LIMIT %(limit)s

-- name: series_versions
SELECT st.id AS study_row, st.study_instance_uid, p.patient_id, /* level */ 'full' AS patient_level,
       (SELECT array_agg(one.id) FROM (
          SELECT v.id
          FROM catalogue_instance i
          JOIN catalogue_version v ON v.instance_id = i.id AND v.current
          WHERE i.series_id = se.id
          ORDER BY i.instance_number NULLS LAST, i.id
          LIMIT %(limit)s) one) AS versions
FROM catalogue_series se
JOIN catalogue_study st ON st.id = se.study_id
JOIN catalogue_patient p ON p.id = st.patient_id
WHERE se.series_instance_uid = %(series)s
  AND (%(study)s::text IS NULL OR st.study_instance_uid = %(study)s::text)
  AND /* seen */ TRUE

-- name: study
SELECT v.id AS version_id, st.id AS study_row, st.study_instance_uid, se.series_instance_uid, i.sop_instance_uid,
       i.sop_class_uid, v.transfer_syntax_uid, v.file_path, v.dataset_offset, v.dataset_bytes, v.file_bytes,
       se.modality, se.series_number, i.instance_number, p.patient_id, /* level */ 'full' AS patient_level
FROM catalogue_study st
JOIN catalogue_series se ON se.study_id = st.id
JOIN catalogue_instance i ON i.series_id = se.id
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
JOIN catalogue_patient p ON p.id = st.patient_id
WHERE st.study_instance_uid = %(study)s
  AND /* seen */ TRUE
ORDER BY se.series_number NULLS LAST, se.id, i.instance_number NULLS LAST, i.id
LIMIT %(limit)s

-- name: picture_of_series
WITH ordered AS (
  SELECT i.id, row_number() OVER (ORDER BY i.rows IS NULL, i.instance_number NULLS LAST, i.id) AS place,
         count(*) FILTER (WHERE i.rows IS NOT NULL) OVER () AS images
  FROM catalogue_series se
  JOIN catalogue_study st ON st.id = se.study_id
  JOIN catalogue_instance i ON i.series_id = se.id
  WHERE se.series_instance_uid = %(series)s
    AND (%(study)s::text IS NULL OR st.study_instance_uid = %(study)s::text)
    AND se.instance_count > 0
)
SELECT v.id AS version_id, st.id AS study_row, st.study_instance_uid, se.series_instance_uid, i.sop_instance_uid,
       i.sop_class_uid, v.transfer_syntax_uid, v.file_path, v.dataset_offset, v.dataset_bytes, v.file_bytes,
       se.modality, se.series_number, i.instance_number, p.patient_id, /* level */ 'full' AS patient_level
FROM ordered o
JOIN catalogue_instance i ON i.id = o.id
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
JOIN catalogue_patient p ON p.id = st.patient_id
WHERE o.place = greatest(1, (o.images + 1) / 2)
  AND /* seen */ TRUE
LIMIT 1

-- name: series_of_study
SELECT se.series_instance_uid
FROM catalogue_study st
JOIN catalogue_series se ON se.study_id = st.id
WHERE st.study_instance_uid = %(study)s
  AND se.instance_count > 0
  AND EXISTS (SELECT FROM catalogue_instance i WHERE i.series_id = se.id AND i.rows IS NOT NULL)
  AND /* seen */ TRUE
ORDER BY se.instance_count = 1, se.series_number NULLS LAST, se.id
LIMIT 1

-- name: first_image
WITH chosen AS (
  SELECT se.id
  FROM catalogue_study st
  JOIN catalogue_series se ON se.study_id = st.id
  WHERE st.study_instance_uid = %(study)s
    AND (%(series)s::text IS NULL OR se.series_instance_uid = %(series)s::text)
    AND se.instance_count > 0
    AND EXISTS (SELECT FROM catalogue_instance i WHERE i.series_id = se.id AND i.rows IS NOT NULL)
  ORDER BY se.series_number NULLS LAST, se.series_instance_uid
  LIMIT 1
), ordered AS (
  SELECT i.id, row_number() OVER (ORDER BY i.instance_number NULLS LAST, i.id) AS place, count(*) OVER () AS images,
         max(coalesce(i.number_of_frames, 1)) OVER () AS frames
  FROM catalogue_instance i
  JOIN chosen c ON c.id = i.series_id
  WHERE i.rows IS NOT NULL
)
SELECT v.id AS version_id, st.id AS study_row, st.study_instance_uid, se.series_instance_uid, i.sop_instance_uid,
       i.sop_class_uid, v.transfer_syntax_uid, v.file_path, v.dataset_offset, v.dataset_bytes, v.file_bytes,
       se.modality, se.series_number, i.instance_number, p.patient_id, /* level */ 'full' AS patient_level
FROM ordered o
JOIN catalogue_instance i ON i.id = o.id
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
JOIN catalogue_patient p ON p.id = st.patient_id
WHERE o.place = CASE WHEN o.images >= %(many)s AND o.frames <= 1 THEN (o.images + 1) / 2 ELSE 1 END
  AND /* seen */ TRUE
LIMIT 1
