-- Keys of threads that have not reached thread_key yet, in the order in which they came
-- (src/store/thread_key.h). Only SQLite has rows here.
CREATE TABLE thread_new (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT PRIMARY KEY,
	account BIGINT NOT NULL,
	key BIGINT NOT NULL,
	thread BIGINT NOT NULL
);
