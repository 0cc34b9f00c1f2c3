-- name: add_home
INSERT INTO storage_volume
  (home_id, host, name, path, mark, is_home, position, wanted, state, note, reserve_bytes, used_bytes, created_at)
VALUES (%(home_id)s, %(host)s, 'home', %(path)s, %(home_id)s, true, 0, 'writing', 'writing', '', 0, %(used)s, now())
ON CONFLICT (home_id) WHERE is_home DO UPDATE SET path = excluded.path, host = excluded.host
RETURNING id

-- name: first_home
SELECT home_id FROM storage_volume WHERE is_home ORDER BY id LIMIT 1

-- name: volumes
SELECT id, home_id, host, name, path, mark, is_home, position, wanted, state, note, quota_bytes, reserve_bytes, used_bytes,
       created_at, checked_at
FROM storage_volume
WHERE %(home_id)s::uuid IS NULL OR home_id = %(home_id)s::uuid
ORDER BY home_id, position, id

-- name: add_volume
INSERT INTO storage_volume
  (home_id, host, name, path, mark, is_home, position, wanted, state, note, quota_bytes, reserve_bytes, used_bytes, created_at)
SELECT %(home_id)s, %(host)s, %(name)s, %(path)s, %(mark)s, false, coalesce(max(position), 0) + 1, 'writing', 'writing', '',
       %(quota_bytes)s, %(reserve_bytes)s, 0, now()
FROM storage_volume WHERE home_id = %(home_id)s
RETURNING id

-- name: lock_volume
SELECT id FROM storage_volume WHERE home_id = %(home_id)s AND name = %(name)s FOR UPDATE

-- name: set_volume
UPDATE storage_volume
SET wanted = coalesce(%(wanted)s, wanted), quota_bytes = CASE WHEN %(set_quota)s THEN %(quota_bytes)s ELSE quota_bytes END,
    reserve_bytes = coalesce(%(reserve_bytes)s, reserve_bytes), position = coalesce(%(position)s, position),
    path = coalesce(%(path)s, path)
WHERE id = %(id)s

-- name: drop_volume
DELETE FROM storage_volume v
WHERE v.id = %(id)s AND NOT v.is_home
  AND NOT EXISTS (SELECT FROM catalogue_version o WHERE o.volume_id = v.id)
  AND NOT EXISTS (SELECT FROM catalogue_doomedfile d WHERE d.volume_id = v.id)
RETURNING id

-- name: note_state
UPDATE storage_volume SET state = %(state)s, note = %(note)s, checked_at = now() WHERE id = %(id)s

-- name: add_used
UPDATE storage_volume v SET used_bytes = greatest(0, v.used_bytes + n.bytes)
FROM unnest(%(ids)s::bigint[], %(bytes)s::bigint[]) AS n (id, bytes)
WHERE v.id = n.id

-- name: count_used
-- Exactly, by looking at every version.
UPDATE storage_volume v
SET used_bytes = coalesce((SELECT sum(o.file_bytes) FROM catalogue_version o
                           WHERE o.volume_id = v.id OR (o.volume_id IS NULL AND v.is_home AND %(own_null)s)), 0)
WHERE v.home_id = %(home_id)s

-- name: any_used
SELECT coalesce(sum(file_bytes), 0) FROM catalogue_version WHERE volume_id IS NULL
