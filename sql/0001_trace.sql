-- What happened to each message. On SQLite it follows the log with its own position.

--sqlite CREATE TABLE trace_position (
--sqlite 	id INTEGER PRIMARY KEY,
--sqlite 	segment BIGINT NOT NULL,
--sqlite 	next_offset BIGINT NOT NULL,
--sqlite 	last_offset BIGINT NOT NULL,
--sqlite 	sequence BIGINT NOT NULL,
--sqlite 	batch BIGINT NOT NULL,
--sqlite 	checksum BIGINT NOT NULL
--sqlite );
--sqlite INSERT INTO trace_position VALUES (1, 0, 0, 0, 0, 0, 0);

CREATE TABLE trace (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	message BIGINT NOT NULL,
	time BIGINT NOT NULL,
	event TEXT NOT NULL,
	address TEXT NOT NULL,
	text TEXT NOT NULL,
	ring INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX trace_ring ON trace (ring) WHERE ring = 1;
CREATE INDEX trace_message ON trace (message);
CREATE INDEX trace_address ON trace (address);
