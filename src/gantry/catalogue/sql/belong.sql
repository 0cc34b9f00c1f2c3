-- name: sources
SELECT institute_id, kind, pattern FROM accounts_source

-- name: belong_batch
INSERT INTO accounts_belonging (institute_id, study_id)
SELECT DISTINCT src.institute_id, st.id
FROM catalogue_version v
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
JOIN unnest(%(institutes)s::bigint[], %(kinds)s::text[], %(patterns)s::text[]) AS src(institute_id, kind, pattern)
  ON lower(CASE src.kind WHEN 'calling_aet' THEN v.calling_aet WHEN 'called_aet' THEN v.called_aet
                         WHEN 'address' THEN v.remote_address ELSE st.institution_name END) LIKE src.pattern
WHERE v.batch_id = %(batch_id)s
ON CONFLICT DO NOTHING

-- name: wanted
CREATE TEMPORARY TABLE belonging_wanted ON COMMIT DROP AS
SELECT DISTINCT src.institute_id, came.study_id
FROM (SELECT DISTINCT se.study_id, v.calling_aet, v.called_aet, v.remote_address, st.institution_name
      FROM catalogue_version v
      JOIN catalogue_instance i ON i.id = v.instance_id
      JOIN catalogue_series se ON se.id = i.series_id
      JOIN catalogue_study st ON st.id = se.study_id) AS came
JOIN unnest(%(institutes)s::bigint[], %(kinds)s::text[], %(patterns)s::text[]) AS src(institute_id, kind, pattern)
  ON lower(CASE src.kind WHEN 'calling_aet' THEN came.calling_aet WHEN 'called_aet' THEN came.called_aet
                         WHEN 'address' THEN came.remote_address ELSE came.institution_name END) LIKE src.pattern

-- name: leave
DELETE FROM accounts_belonging b
WHERE NOT EXISTS (SELECT FROM belonging_wanted w WHERE w.institute_id = b.institute_id AND w.study_id = b.study_id)

-- name: join
INSERT INTO accounts_belonging (institute_id, study_id)
SELECT institute_id, study_id FROM belonging_wanted
ON CONFLICT DO NOTHING

-- name: end_grants
DELETE FROM accounts_grant g WHERE NOT EXISTS (SELECT FROM catalogue_study s WHERE s.id = g.study_id)
