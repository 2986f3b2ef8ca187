-- What must be true in every index (images.py and faults.c read this: a comment, and a statement that gives
-- rows only where the comment says what is wrong)

-- a uid that was given out before uidnext
SELECT m.account, m.id, m.uidnext, u.top FROM mailbox m JOIN (
    SELECT account, mailbox, MAX(uid) AS top FROM
        (SELECT account, mailbox, uid FROM entry UNION ALL SELECT account, mailbox, uid FROM ghost)
    GROUP BY account, mailbox) u ON u.account = m.account AND u.mailbox = m.id
WHERE m.uidnext <= u.top;

-- counters of a mailbox that do not count what is in it
SELECT m.account, m.id, m.messages, m.unseen, m.deleted, m.bytes FROM mailbox m
WHERE m.removed = 0 AND (
    m.messages <> (SELECT COUNT(*) FROM entry e WHERE e.account = m.account AND e.mailbox = m.id)
    OR m.unseen <> (SELECT COUNT(*) FROM entry e
        WHERE e.account = m.account AND e.mailbox = m.id AND e.flags & 1 = 0)
    OR m.deleted <> (SELECT COUNT(*) FROM entry e
        WHERE e.account = m.account AND e.mailbox = m.id AND e.flags & 8 <> 0)
    OR m.bytes <> (SELECT COALESCE(SUM(size), 0) FROM entry e
        WHERE e.account = m.account AND e.mailbox = m.id));

-- links of a body
SELECT b.id, b.links FROM body b WHERE b.links <>
    (SELECT COUNT(*) FROM email e WHERE e.body = b.id) +
    (SELECT COUNT(*) FROM queue_message q WHERE q.body = b.id);

-- links of an email
SELECT m.account, m.id, m.links FROM email m WHERE m.links <>
    (SELECT COUNT(*) FROM entry e WHERE e.account = m.account AND e.email = m.id) +
    (SELECT COUNT(*) FROM ghost g WHERE g.account = m.account AND g.email = m.id);

-- an entry without its email
SELECT e.account, e.mailbox, e.uid FROM entry e LEFT JOIN email m
ON m.account = e.account AND m.id = e.email WHERE m.id IS NULL;

-- recipients of a queued message
SELECT q.id, q.waiting FROM queue_message q WHERE q.waiting <>
    (SELECT COUNT(*) FROM queue_rcpt r WHERE r.message = q.id);

-- numbers given out before the next ones
SELECT p.next_body, p.next_account FROM log_position p
WHERE p.next_body <= (SELECT COALESCE(MAX(id), 0) FROM body)
OR p.next_account <= (SELECT COALESCE(MAX(id), 0) FROM account)
OR p.next_rcpt <= (SELECT COALESCE(MAX(id), 0) FROM queue_rcpt);

-- the books of the log: live bodies of each segment, and what would move with them
SELECT t.segment, sum(t.bodies), sum(t.bytes) FROM (
    SELECT number AS segment, bodies, bytes FROM segment
    UNION ALL SELECT segment, -1, -carried
    - CASE WHEN blob IS NOT NULL THEN 0 WHEN stored <> 0 THEN stored ELSE size END FROM body
    WHERE segment <> 0) t
GROUP BY t.segment HAVING sum(t.bodies) <> 0 OR sum(t.bytes) <> 0;

-- a message whose thread no key leads to
SELECT e.account, e.id, e.thread FROM email e WHERE NOT EXISTS (
    SELECT 1 FROM thread_key k WHERE k.account = e.account AND k.thread = e.thread)
AND NOT EXISTS (
    SELECT 1 FROM thread_new k WHERE k.account = e.account AND k.thread = e.thread);

-- a key that leads to two threads
SELECT n.account, n.key, n.thread, k.thread FROM thread_new n JOIN thread_key k
ON k.account = n.account AND k.key = n.key WHERE k.thread <> n.thread;
