-- The version of these tables, and what a message in the queue may ask for beyond the ordinary.
-- Nearly all mail asks for nothing, so it costs nothing: NULL and 0 take no room.

CREATE TABLE index_version (
	id INTEGER PRIMARY KEY,
	version INTEGER NOT NULL
);
INSERT INTO index_version VALUES (1, 2);

-- One queue_options_row of effect.def, or NULL.
--sqlite ALTER TABLE queue_message ADD COLUMN options BLOB;
--postgres ALTER TABLE queue_message ADD COLUMN options BYTEA;

-- priority is that of the message, -9 to 9. rrvs: twice the seconds since 1970, and 1 for "reject".
ALTER TABLE queue_rcpt ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue_rcpt ADD COLUMN rrvs BIGINT NOT NULL DEFAULT 0;
DROP INDEX queue_due;
CREATE INDEX queue_due ON queue_rcpt (domain, priority, next);
