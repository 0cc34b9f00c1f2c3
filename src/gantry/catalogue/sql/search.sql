-- The search of people: studies with their patients. Conditions go where the notes are: see search.py.
-- Aliases: s study, p patient, x what is searched.

-- name: page
SELECT s.id, s.study_instance_uid, p.patient_id, p.issuer_of_patient_id, p.patient_name, p.patient_birth_date,
       p.patient_sex, s.study_date, s.study_time, s.accession_number, s.study_id, s.study_description,
       s.referring_physician_name, s.institution_name, s.modalities, s.series_count, s.instance_count, s.size_bytes,
       s.conflict_count, s.first_received_at, s.last_received_at, s.settled_at, /* level */ 'full' AS patient_level,
       s.protected_at IS NOT NULL AS protected,
       ARRAY(SELECT h.label FROM catalogue_hold h WHERE h.study_id = s.id AND h.lifted_at IS NULL ORDER BY h.id) AS hold_labels,
       /* held back */ FALSE AS held, x.calling, /* place */ '' AS place
FROM catalogue_study s
JOIN catalogue_patient p ON p.id = s.patient_id
JOIN catalogue_studysearch x ON x.study_id = s.id
WHERE s.trashed_at IS NULL AND /* seen */ TRUE AND /* asked */ TRUE
ORDER BY /* order */ s.id
LIMIT %(limit)s

-- name: sample
-- Of the newest studies: how many have the words and are shown, and how many have the words.
SELECT count(*) FILTER (WHERE worded AND /* found */ TRUE AND /* seen */ TRUE), count(*) FILTER (WHERE worded)
FROM (SELECT x.*, x.words @@ %(few_words)s::tsquery AS worded
      FROM (SELECT s.id FROM catalogue_study s ORDER BY s.last_received_at DESC, s.id DESC LIMIT %(recent)s) AS n
      JOIN catalogue_studysearch x ON x.study_id = n.id OFFSET 0) AS x

-- name: sample_of_sight
-- Of the newest studies: how many are seen.
SELECT count(*) FILTER (WHERE /* seen */ TRUE)
FROM (SELECT s.id AS study_id FROM catalogue_study s ORDER BY s.last_received_at DESC, s.id DESC LIMIT %(recent)s) AS x

-- name: few_by_words
-- Found by the index of words, and each looked up whether it is seen.
SELECT ARRAY(SELECT x.study_id FROM catalogue_studysearch x
             WHERE x.words @@ %(few_words)s::tsquery AND /* seen */ TRUE AND /* found */ TRUE LIMIT %(few)s)

-- name: few_by_sight
-- Of those that are seen, each looked up whether it has the words.
SELECT ARRAY(SELECT x.study_id FROM catalogue_studysearch x WHERE /* among */ TRUE AND /* found */ TRUE LIMIT %(few)s)

-- name: facets
-- Counts over at most so many studies, the newest; the number of them is the total. What follows each is a facet of them.
-- Outer joins: the table of which nothing is asked is not read.
WITH base AS MATERIALIZED (
    SELECT s.id, s.modalities, s.study_date, s.last_received_at, s.settled_at IS NULL AS new, s.conflict_count > 0 AS conflict,
           s.protected_at IS NOT NULL AS protected, NULL::text[] AS calling, NULL::text[] AS called
    FROM catalogue_study s
    LEFT JOIN catalogue_patient p ON p.id = s.patient_id
    LEFT JOIN catalogue_studysearch x ON x.study_id = s.id
    WHERE s.trashed_at IS NULL AND /* seen */ TRUE AND /* asked */ TRUE
    ORDER BY s.last_received_at DESC, s.id DESC
    LIMIT %(limit)s
)
SELECT 'total' AS facet, '' AS value, count(*) AS count FROM base

-- name: facet_modality
SELECT 'modality', m, count(*) FROM (SELECT unnest(modalities) AS m FROM base) AS each GROUP BY m

-- name: facet_calling_aet
SELECT 'calling_aet', a, count(*) FROM (SELECT unnest(calling) AS a FROM base) AS each GROUP BY a

-- name: facet_called_aet
SELECT 'called_aet', a, count(*) FROM (SELECT unnest(called) AS a FROM base) AS each GROUP BY a

-- name: facet_institute
SELECT 'institute', i.name, c.count
FROM (SELECT b.institute_id, count(*) AS count FROM base JOIN accounts_belonging b ON b.study_id = base.id
      WHERE /* institutes */ TRUE GROUP BY b.institute_id) AS c
JOIN accounts_institute i ON i.id = c.institute_id

-- name: facet_dated
SELECT 'dated', d.name, sum(c.count)::bigint
FROM (SELECT study_date, count(*) AS count FROM base GROUP BY study_date) AS c
JOIN unnest(%(span_names)s::text[], %(span_days)s::date[]) AS d (name, since)
  ON c.study_date >= d.since AND c.study_date <= %(today)s::date
GROUP BY d.name

-- name: facet_received
SELECT 'received', d.name, (SELECT count(*) FROM base WHERE base.last_received_at >= d.since)
FROM unnest(%(span_names)s::text[], %(span_moments)s::timestamptz[]) AS d (name, since)

-- name: facet_state
SELECT 'state', v.value, v.count
FROM (SELECT count(*) FILTER (WHERE new) AS new, count(*) FILTER (WHERE NOT new) AS settled,
             count(*) FILTER (WHERE conflict) AS conflict, count(*) FILTER (WHERE protected) AS protected,
             count(*) FILTER (WHERE s.id IN (SELECT h.study_id FROM catalogue_hold h WHERE h.lifted_at IS NULL)) AS legal_hold,
             count(*) FILTER (WHERE /* held back */ FALSE) AS held
      FROM base s) AS c
CROSS JOIN LATERAL (VALUES ('new', c.new), ('settled', c.settled), ('conflict', c.conflict), ('protected', c.protected),
                           ('legal_hold', c.legal_hold), ('held', c.held)) AS v (value, count)

-- name: remember_callers
-- From whom and to whom the studies of a batch came, beside what is known.
WITH came AS (
    SELECT se.study_id, coalesce(array_agg(DISTINCT v.calling_aet) FILTER (WHERE v.calling_aet <> ''), '{}') AS calling,
           coalesce(array_agg(DISTINCT v.called_aet) FILTER (WHERE v.called_aet <> ''), '{}') AS called
    FROM catalogue_version v
    JOIN catalogue_instance i ON i.id = v.instance_id
    JOIN catalogue_series se ON se.id = i.series_id
    WHERE v.batch_id = %(batch_id)s
    GROUP BY se.study_id
)
UPDATE catalogue_studysearch x
SET calling = (SELECT coalesce(array_agg(DISTINCT a), '{}') FROM unnest(x.calling || came.calling) AS a),
    called = (SELECT coalesce(array_agg(DISTINCT a), '{}') FROM unnest(x.called || came.called) AS a)
FROM came
WHERE x.study_id = came.study_id AND NOT (x.calling @> came.calling AND x.called @> came.called)
  AND cardinality(x.calling) < 64 AND cardinality(x.called) < 64
