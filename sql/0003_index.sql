-- Quotas, lists with an owner, and what each account sends. Counters of an account are the sums over
-- its mailboxes that are not removed; those of a domain the sums over the accounts it is charged for.

-- quota: 0 is none. full_since: when mail was first refused since there was room. charged: the domain
-- with a quota that this account counts towards. caps: 0 the setting's, -1 none.
ALTER TABLE account ADD COLUMN messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN quota_messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN quota_bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN full_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN charged BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN cap_messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN cap_recipients BIGINT NOT NULL DEFAULT 0;
UPDATE account SET
	messages = (SELECT coalesce(sum(m.messages), 0) FROM mailbox m
		WHERE m.account = account.id AND m.removed = 0),
	bytes = (SELECT coalesce(sum(m.bytes), 0) FROM mailbox m
		WHERE m.account = account.id AND m.removed = 0);

ALTER TABLE domain ADD COLUMN messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domain ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domain ADD COLUMN quota_messages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE domain ADD COLUMN quota_bytes BIGINT NOT NULL DEFAULT 0;

-- What has to be asked of the account before it gets mail: 1 it is disabled, 2 there is a quota. So
-- for nearly all addresses one look is enough. local '': the catch-all of the domain. owner: this is a
-- list, and reports about what it sends go there.
ALTER TABLE address ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;
ALTER TABLE address ADD COLUMN owner TEXT NOT NULL DEFAULT '';
UPDATE address SET flags = 1 WHERE account IN (SELECT id FROM account WHERE enabled = 0);

-- What an account has sent to other servers on `day` (days since 1970) and on the day before, and on
-- which day mail was last frozen and its owner told. known: rows of correspondent.
CREATE TABLE sending (
--sqlite account INTEGER PRIMARY KEY,
--postgres account BIGINT PRIMARY KEY,
	day BIGINT NOT NULL,
	messages BIGINT NOT NULL,
	recipients BIGINT NOT NULL,
	messages_before BIGINT NOT NULL,
	recipients_before BIGINT NOT NULL,
	frozen_day BIGINT NOT NULL,
	told_day BIGINT NOT NULL,
	known BIGINT NOT NULL
);

-- To whom an account has written, by hash of the address. last: about when, in seconds since 1970.
CREATE TABLE correspondent (
	account BIGINT NOT NULL,
	hash BIGINT NOT NULL,
	last BIGINT NOT NULL,
	PRIMARY KEY (account, hash)
--sqlite ) WITHOUT ROWID;
--postgres );

-- Held mail is counted whenever somebody asks how things are.
CREATE INDEX queue_rcpt_held ON queue_rcpt (message) WHERE state = 5;
