-- What conditions were met with lately, for those who write them.

-- name: examples
-- One instance of each series of the newest studies: the instances of a series agree in what rules ask for.
WITH recent AS (
    SELECT s.id FROM catalogue_study s
    WHERE /* seen */ TRUE AND s.instance_count > 0
    ORDER BY s.last_received_at DESC, s.id DESC
    LIMIT %(studies)s
), series AS (
    SELECT e.id FROM recent r JOIN catalogue_series e ON e.study_id = r.id LIMIT 5 * %(studies)s
), sample AS (
    SELECT v.header, v.calling_aet, v.called_aet, v.remote_address, v.origin
    FROM series e
    CROSS JOIN LATERAL (SELECT i.id FROM catalogue_instance i WHERE i.series_id = e.id LIMIT 1) i
    JOIN catalogue_version v ON v.instance_id = i.id AND v.current
), pairs AS (
    SELECT h.key AS keyword, one.value
    FROM sample
    CROSS JOIN LATERAL jsonb_each(sample.header) AS h
    CROSS JOIN LATERAL (
        SELECT jsonb_array_elements_text(CASE jsonb_typeof(h.value) WHEN 'array' THEN h.value
                                         ELSE jsonb_build_array(h.value) END) AS value
    ) AS one
    WHERE h.key = ANY(%(asked)s::text[])
    UNION ALL
    SELECT known.keyword, known.value
    FROM sample
    CROSS JOIN LATERAL (
        VALUES ('CallingAET', sample.calling_aet), ('CalledAET', sample.called_aet), ('RemoteAddress', sample.remote_address),
               ('Origin', sample.origin)
    ) AS known (keyword, value)
), counted AS (
    SELECT keyword, btrim(value) AS value, count(*) AS times,
           row_number() OVER (PARTITION BY keyword ORDER BY count(*) DESC, btrim(value)) AS place
    FROM pairs
    WHERE btrim(value) <> '' AND length(value) <= %(longest)s
    GROUP BY keyword, btrim(value)
)
SELECT keyword, value FROM counted WHERE place <= %(values)s ORDER BY keyword, place
