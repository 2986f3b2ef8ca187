-- From version 6 back to version 5, where every key of a thread is in thread_key at once.
INSERT INTO thread_key (account, key, thread)
	SELECT account, key, thread FROM thread_new WHERE true ORDER BY account, key
	ON CONFLICT DO NOTHING;
DROP TABLE thread_new;
