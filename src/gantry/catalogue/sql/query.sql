-- The columns that a query asks for and its conditions are put into {columns} and {conditions}, or the
-- list of Location into `locations`: see query.py and conditions.py. Aliases: p patient, s study, se series,
-- i instance, v its current version.

-- name: patient
SELECT {columns}
FROM catalogue_patient p
WHERE p.study_count > 0 AND {conditions}

-- name: study
SELECT {columns}
FROM catalogue_study s
JOIN catalogue_patient p ON p.id = s.patient_id
WHERE s.instance_count > 0 AND {conditions}

-- name: series
SELECT {columns}
FROM catalogue_series se
JOIN catalogue_study s ON s.id = se.study_id
JOIN catalogue_patient p ON p.id = s.patient_id
WHERE se.instance_count > 0 AND {conditions}

-- name: image
SELECT {columns}
FROM catalogue_instance i
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study s ON s.id = se.study_id
JOIN catalogue_patient p ON p.id = s.patient_id
WHERE {conditions}

-- name: locations
SELECT v.id AS version_id, s.id AS study_id, s.study_instance_uid, se.series_instance_uid, i.sop_instance_uid,
       i.sop_class_uid, v.transfer_syntax_uid, v.file_path, v.file_bytes, v.dataset_offset, v.dataset_bytes, v.sha256,
       v.current
FROM catalogue_instance i
JOIN catalogue_version v ON v.instance_id = i.id AND v.current
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study s ON s.id = se.study_id
JOIN catalogue_patient p ON p.id = s.patient_id
WHERE {conditions}
ORDER BY s.id, se.id, i.instance_number NULLS LAST, i.id

-- name: series_of_patient
(SELECT coalesce(sum(x.series_count), 0) FROM catalogue_study x WHERE x.patient_id = p.id)

-- name: instances_of_patient
(SELECT coalesce(sum(x.instance_count), 0) FROM catalogue_study x WHERE x.patient_id = p.id)

-- name: classes_of_study
ARRAY(SELECT DISTINCT x.sop_class_uid FROM catalogue_series y JOIN catalogue_instance x ON x.series_id = y.id
      WHERE y.study_id = s.id ORDER BY 1)
