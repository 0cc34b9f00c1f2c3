-- name: insert_entry
INSERT INTO audit_entry (act, who, via, user_id, token_id, address, kind, key, study_uid, patient_id, reason, before, after)
VALUES (
    %(act)s, %(who)s, %(via)s, %(user_id)s, %(token_id)s, %(address)s, %(kind)s, %(key)s, %(study_uid)s, %(patient_id)s,
    %(reason)s, %(before)s::jsonb, %(after)s::jsonb
)

-- name: chain
-- Each link with its entry, in the order of the chains; the text must be that of the trigger audit_seal.
SELECT link.chain, link.seq, link.entry_id, link.digest, entry.id IS NOT NULL AS there,
    json_build_array(
        entry.id, to_char(entry.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), entry.act, entry.who, entry.via,
        entry.user_id, entry.token_id, entry.address, entry.kind, entry.key, entry.study_uid, entry.patient_id, entry.reason,
        entry.before::text, entry.after::text
    )::text AS content
FROM audit_link AS link LEFT JOIN audit_entry AS entry ON entry.id = link.entry_id
ORDER BY link.chain, link.seq

-- name: unsealed
SELECT entry.id FROM audit_entry AS entry
WHERE NOT EXISTS (SELECT 1 FROM audit_link AS link WHERE link.entry_id = entry.id)
ORDER BY entry.id LIMIT 100

-- name: retired
SELECT id, after FROM audit_entry WHERE act = 'audit.retire' ORDER BY id

-- name: guards
SELECT tgrelid::regclass::text || '.' || tgname, tgenabled::text FROM pg_trigger
WHERE tgrelid IN ('audit_entry'::regclass, 'audit_link'::regclass) AND NOT tgisinternal

-- name: heads
SELECT DISTINCT ON (chain) chain, seq, digest FROM audit_link ORDER BY chain, seq DESC

-- name: export
SELECT entry.id, entry.at, entry.act, entry.who, entry.via, entry.user_id, entry.token_id, entry.address, entry.kind, entry.key,
    entry.study_uid, entry.patient_id, entry.reason, entry.before, entry.after, link.chain, link.seq, encode(link.digest, 'hex')
FROM audit_entry AS entry LEFT JOIN audit_link AS link ON link.entry_id = entry.id
WHERE (%(since)s::timestamptz IS NULL OR entry.at >= %(since)s::timestamptz)
    AND (%(until)s::timestamptz IS NULL OR entry.at < %(until)s::timestamptz)
ORDER BY entry.id

-- name: acts
-- Every act there is an entry of: from each to the next one in the index, not over all entries.
WITH RECURSIVE known(act) AS (
    (SELECT act FROM audit_entry ORDER BY act USING ~<~ LIMIT 1)
    UNION ALL
    SELECT (SELECT entry.act FROM audit_entry AS entry WHERE entry.act ~>~ known.act ORDER BY entry.act USING ~<~ LIMIT 1)
    FROM known WHERE known.act IS NOT NULL
)
SELECT act FROM known WHERE act IS NOT NULL

-- name: alone
-- One check of the chains at a time: each reads everything.
SELECT pg_try_advisory_lock(7089618934211240)

-- name: alone_no_more
SELECT pg_advisory_unlock(7089618934211240)
