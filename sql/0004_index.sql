
-- How much of each segment of the log is alive: bodies whose record lies there, and the bytes of those
-- that lie in the log themselves. A segment without a row holds nothing that anybody needs for good.
CREATE TABLE segment (
--sqlite number INTEGER PRIMARY KEY,
--postgres number BIGINT PRIMARY KEY,
	bytes BIGINT NOT NULL,
	bodies BIGINT NOT NULL
);
INSERT INTO segment (number, bytes, bodies)
	SELECT segment, sum(size), count(*) FROM body WHERE segment <> 0 GROUP BY segment;

-- Since when a body is known to be damaged on disk and is not served; 0: it is not.
ALTER TABLE body ADD COLUMN damaged BIGINT NOT NULL DEFAULT 0;
CREATE INDEX body_damaged ON body (id) WHERE damaged <> 0;

-- What is needed to bring back what was deleted: the names that accounts and mailboxes had.
ALTER TABLE account ADD COLUMN former TEXT NOT NULL DEFAULT '';
ALTER TABLE mailbox ADD COLUMN former TEXT NOT NULL DEFAULT '';
