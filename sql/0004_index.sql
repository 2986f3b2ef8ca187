
-- How much of each segment of the log is alive: bodies whose record lies there, and the bytes that would
-- move with them. A segment without a row holds nothing that anybody needs for good.
CREATE TABLE segment (
--sqlite number INTEGER PRIMARY KEY,
--postgres number BIGINT PRIMARY KEY,
	bytes BIGINT NOT NULL,
	bodies BIGINT NOT NULL
);
INSERT INTO segment (number, bytes, bodies)
	SELECT segment, sum(size), count(*) FROM body WHERE segment <> 0 GROUP BY segment;

-- What moves along with a body when its segment is compacted, in bytes, about: who refers to it, facts.
ALTER TABLE body ADD COLUMN carried BIGINT NOT NULL DEFAULT 0;

-- Since when a body is known to be damaged on disk and is not served; 0: it is not.
ALTER TABLE body ADD COLUMN damaged BIGINT NOT NULL DEFAULT 0;
CREATE INDEX body_damaged ON body (id) WHERE damaged <> 0;

-- What is needed to bring back what was deleted: the names that accounts and mailboxes had.
ALTER TABLE account ADD COLUMN former TEXT NOT NULL DEFAULT '';
ALTER TABLE mailbox ADD COLUMN former TEXT NOT NULL DEFAULT '';

-- When each domain of the queue has something to do: the smallest `next` of its recipients. So who gives
-- leases reads what is due, and not the queue.
CREATE TABLE queue_domain (
	domain TEXT NOT NULL,
	next BIGINT NOT NULL,
	PRIMARY KEY (domain)
--sqlite ) WITHOUT ROWID;
--postgres );
INSERT INTO queue_domain (domain, next) SELECT domain, min(next) FROM queue_rcpt GROUP BY domain;
CREATE INDEX queue_domain_next ON queue_domain (next, domain);

-- A message may have 60,000 recipients, of as many domains.
DROP INDEX queue_rcpt_message;
CREATE INDEX queue_rcpt_message ON queue_rcpt (message, domain, next);
CREATE INDEX queue_message_arrived ON queue_message (arrived);

-- What only PostgreSQL has, where there is no log and several nodes have the same tables.

-- The bytes of a body, at most 256 KiB in a row. name: the body's id, or the name of one that came ahead
-- of its message ("blob"). Not compressed, so that a part can be read without the rest.
--postgres CREATE TABLE body_piece (
--postgres 	name TEXT NOT NULL,
--postgres 	start BIGINT NOT NULL,
--postgres 	data BYTEA NOT NULL,
--postgres 	PRIMARY KEY (name, start)
--postgres );
--postgres ALTER TABLE body_piece ALTER COLUMN data SET STORAGE EXTERNAL;

-- Those that no message has come to name yet, and since when.
--postgres CREATE TABLE body_staged (
--postgres 	name TEXT PRIMARY KEY,
--postgres 	since BIGINT NOT NULL
--postgres );

-- Processes that have the store open. One that has not renewed its row until then is dead, and its leases
-- end. Times are those of the database.
--postgres CREATE TABLE node (
--postgres 	id BIGINT PRIMARY KEY,
--postgres 	until BIGINT NOT NULL
--postgres );

-- A recipient that somebody works on: the key is what keeps two nodes from sending to it.
--postgres CREATE TABLE lease (
--postgres 	rcpt BIGINT PRIMARY KEY,
--postgres 	id BIGINT NOT NULL,
--postgres 	node BIGINT NOT NULL,
--postgres 	holder BIGINT NOT NULL,
--postgres 	message BIGINT NOT NULL,
--postgres 	domain TEXT NOT NULL
--postgres );
--postgres CREATE INDEX lease_id ON lease (id);
--postgres CREATE INDEX lease_node ON lease (node, holder);
--postgres CREATE INDEX lease_domain ON lease (domain);
