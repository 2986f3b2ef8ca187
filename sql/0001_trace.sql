-- What happened to each message. Follows the log with its own position.

CREATE TABLE trace_position (
	id INTEGER PRIMARY KEY,
	segment BIGINT NOT NULL,
	next_offset BIGINT NOT NULL,
	last_offset BIGINT NOT NULL,
	sequence BIGINT NOT NULL,
	batch BIGINT NOT NULL,
	checksum BIGINT NOT NULL
);
INSERT INTO trace_position VALUES (1, 0, 0, 0, 0, 0, 0);

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
