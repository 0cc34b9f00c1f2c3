-- What deliveries mean for how long a study is kept, and where lost bytes can be had again.

-- name: delivered
-- Everything that was ordered is confirmed, and each current version was confirmed somewhere.
SELECT d.study_id, max(d.confirmed_at)
FROM transfers_delivery d
WHERE d.study_id = ANY(%(study_ids)s::bigint[]) AND d.status <> 'cancelled'
GROUP BY d.study_id
HAVING bool_and(d.status = 'confirmed')
   AND NOT EXISTS (
       SELECT FROM catalogue_series se
       JOIN catalogue_instance i ON i.series_id = se.id
       JOIN catalogue_version v ON v.instance_id = i.id AND v.current
       WHERE se.study_id = d.study_id AND NOT EXISTS (
           SELECT FROM transfers_delivery o WHERE o.study_id = d.study_id AND o.version_id = v.id AND o.status = 'confirmed'))

-- name: count_open_of_study
SELECT count(*) FROM transfers_delivery WHERE study_id = %(study_id)s AND status NOT IN ('confirmed', 'dead', 'cancelled')

-- name: lost_version
SELECT v.id, st.study_instance_uid, se.series_instance_uid, i.sop_instance_uid, v.sha256, v.dataset_offset, v.dataset_bytes,
       v.file_path, v.volume_id, v.calling_aet, v.current
FROM catalogue_version v
JOIN catalogue_instance i ON i.id = v.instance_id
JOIN catalogue_series se ON se.id = i.series_id
JOIN catalogue_study st ON st.id = se.study_id
WHERE v.id = %(version_id)s

-- name: who_may_have
-- Nodes to which these bytes were delivered unchanged come first, then the one that sent them, then all others.
SELECT n.id
FROM nodes_node n
LEFT JOIN LATERAL (
    SELECT max(d.confirmed_at) AS at FROM transfers_delivery d
    WHERE d.version_id = %(version_id)s AND d.node_id = n.id AND d.status = 'confirmed'
) done ON true
WHERE n.removed_at IS NULL AND n.enabled AND n.host <> ''
ORDER BY done.at IS NULL, n.aet <> %(calling_aet)s, done.at DESC, n.id
LIMIT %(limit)s

-- name: put_right
UPDATE catalogue_version SET file_path = %(now_path)s, volume_id = %(volume_id)s, dataset_offset = %(dataset_offset)s,
  file_bytes = %(file_bytes)s
WHERE id = %(version_id)s AND file_path = %(path)s
RETURNING id

-- name: doom
INSERT INTO catalogue_doomedfile (file_path, volume_id, file_bytes, doomed_at)
VALUES (%(path)s, %(volume_id)s, 0, now()) ON CONFLICT (file_path) DO NOTHING
