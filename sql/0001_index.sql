-- The index of the store: where things are found. Everything here follows from the log.
--
-- Common dialect of SQLite 3.35 and PostgreSQL 15 (src/db/db.h); lines that begin with an engine's
-- name are for that engine only. Times are seconds since 1970, numbers named modseq count the
-- changes of one account. Keys start with the account, but for bodies and the queue.

CREATE TABLE log_position (
	id INTEGER PRIMARY KEY,
	segment BIGINT NOT NULL,
	next_offset BIGINT NOT NULL,
	last_offset BIGINT NOT NULL,
	sequence BIGINT NOT NULL,
	batch BIGINT NOT NULL,
	checksum BIGINT NOT NULL,
	next_domain BIGINT NOT NULL,
	next_account BIGINT NOT NULL,
	next_address BIGINT NOT NULL,
	next_body BIGINT NOT NULL,
	next_rcpt BIGINT NOT NULL,
	calls INTEGER NOT NULL,
	calls_turned BIGINT NOT NULL
);
INSERT INTO log_position VALUES (1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0);

-- The directory.

CREATE TABLE domain (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT PRIMARY KEY,
	name TEXT NOT NULL UNIQUE,
	kind INTEGER NOT NULL
);

-- A removed account has no login, but its mail stays until it is purged.
CREATE TABLE account (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT PRIMARY KEY,
	login TEXT UNIQUE,
	full_name TEXT NOT NULL,
	enabled INTEGER NOT NULL,
	created BIGINT NOT NULL,
	removed BIGINT NOT NULL,
	modseq BIGINT NOT NULL,
	next_email BIGINT NOT NULL,
	next_mailbox BIGINT NOT NULL,
	next_uidvalidity BIGINT NOT NULL
);

CREATE INDEX account_removed ON account (removed) WHERE removed <> 0;

-- account 0: an alias.
CREATE TABLE address (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT PRIMARY KEY,
	domain BIGINT NOT NULL,
	local TEXT NOT NULL,
	account BIGINT NOT NULL,
	UNIQUE (domain, local)
);
CREATE INDEX address_account ON address (account);

CREATE TABLE alias_target (
	address BIGINT NOT NULL,
	position INTEGER NOT NULL,
	target TEXT NOT NULL,
	PRIMARY KEY (address, position)
);

CREATE TABLE identity (
	account BIGINT NOT NULL,
	id BIGINT NOT NULL,
	name TEXT NOT NULL,
	address TEXT NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	PRIMARY KEY (account, id)
);

CREATE TABLE secret (
	kind INTEGER NOT NULL,
	name TEXT NOT NULL,
--sqlite sealed BLOB NOT NULL,
--postgres sealed BYTEA NOT NULL,
	PRIMARY KEY (kind, name)
);

-- Mailboxes. A removed one has no name, but its entries stay until they are purged.

CREATE TABLE mailbox (
	account BIGINT NOT NULL,
	id BIGINT NOT NULL,
	name TEXT,
	uses INTEGER NOT NULL,
	uidvalidity BIGINT NOT NULL,
	uidnext BIGINT NOT NULL,
	modseq BIGINT NOT NULL,
	messages BIGINT NOT NULL,
	unseen BIGINT NOT NULL,
	deleted BIGINT NOT NULL,
	bytes BIGINT NOT NULL,
	recent_from BIGINT NOT NULL,
	keywords TEXT NOT NULL,
	created BIGINT NOT NULL,
	changed BIGINT NOT NULL,
	removed BIGINT NOT NULL,
	PRIMARY KEY (account, id)
--sqlite ) WITHOUT ROWID;
--postgres );
CREATE UNIQUE INDEX mailbox_name ON mailbox (account, name);
CREATE INDEX mailbox_removed ON mailbox (removed) WHERE removed <> 0;

CREATE TABLE subscription (
	account BIGINT NOT NULL,
	name TEXT NOT NULL,
	PRIMARY KEY (account, name)
--sqlite ) WITHOUT ROWID;
--postgres );

-- A body lies in the log (segment, place) or in a file (blob). links: emails and queued messages
-- that share it. facts belong to the bytes, so they are shared too.
CREATE TABLE body (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT PRIMARY KEY,
	segment BIGINT NOT NULL,
	place BIGINT NOT NULL,
	blob TEXT,
	size BIGINT NOT NULL,
	checksum BIGINT NOT NULL,
	links BIGINT NOT NULL,
--sqlite facts BLOB NOT NULL
--postgres facts BYTEA NOT NULL
);
CREATE INDEX body_blob ON body (blob) WHERE blob IS NOT NULL;

-- links: entries and ghosts of this email.
CREATE TABLE email (
	account BIGINT NOT NULL,
	id BIGINT NOT NULL,
	thread BIGINT NOT NULL,
	body BIGINT NOT NULL,
	size BIGINT NOT NULL,
	received BIGINT NOT NULL,
	links BIGINT NOT NULL,
	created BIGINT NOT NULL,
--sqlite prefix BLOB NOT NULL,
--postgres prefix BYTEA NOT NULL,
	PRIMARY KEY (account, id)
--sqlite ) WITHOUT ROWID;
--postgres );

-- An email in a mailbox. thread to prefix_size never change; they are copies, so that reading a
-- folder reads this table alone, from left to right.
CREATE TABLE entry (
	account BIGINT NOT NULL,
	mailbox BIGINT NOT NULL,
	uid BIGINT NOT NULL,
	email BIGINT NOT NULL,
	thread BIGINT NOT NULL,
	body BIGINT NOT NULL,
	size BIGINT NOT NULL,
	prefix_size BIGINT NOT NULL,
	received BIGINT NOT NULL,
	saved BIGINT NOT NULL,
	created BIGINT NOT NULL,
	modseq BIGINT NOT NULL,
	flags INTEGER NOT NULL,
	keywords TEXT NOT NULL,
	PRIMARY KEY (account, mailbox, uid)
--sqlite ) WITHOUT ROWID;
--postgres );

-- An entry that was expunged: still served to views that hold it, and the source of undelete.
CREATE TABLE ghost (
	account BIGINT NOT NULL,
	mailbox BIGINT NOT NULL,
	uid BIGINT NOT NULL,
	email BIGINT NOT NULL,
	thread BIGINT NOT NULL,
	body BIGINT NOT NULL,
	size BIGINT NOT NULL,
	prefix_size BIGINT NOT NULL,
	received BIGINT NOT NULL,
	saved BIGINT NOT NULL,
	created BIGINT NOT NULL,
	modseq BIGINT NOT NULL,
	flags INTEGER NOT NULL,
	keywords TEXT NOT NULL,
	expunged BIGINT NOT NULL,
	moved INTEGER NOT NULL,
	PRIMARY KEY (account, mailbox, uid)
--sqlite ) WITHOUT ROWID;
--postgres );
CREATE INDEX ghost_age ON ghost (expunged);

CREATE TABLE thread_key (
	account BIGINT NOT NULL,
	key BIGINT NOT NULL,
	thread BIGINT NOT NULL,
	PRIMARY KEY (account, key)
--sqlite ) WITHOUT ROWID;
--postgres );

-- The queue. waiting: recipients that are not done.

CREATE TABLE queue_message (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT PRIMARY KEY,
	account BIGINT NOT NULL,
	sender TEXT NOT NULL,
	arrived BIGINT NOT NULL,
	size BIGINT NOT NULL,
	flags INTEGER NOT NULL,
	envid TEXT NOT NULL,
	ret INTEGER NOT NULL,
	body BIGINT NOT NULL,
	waiting BIGINT NOT NULL,
--sqlite prefix BLOB NOT NULL
--postgres prefix BYTEA NOT NULL
);

-- next of a held recipient is the largest number, so it is never due.
CREATE TABLE queue_rcpt (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT PRIMARY KEY,
	message BIGINT NOT NULL,
	domain TEXT NOT NULL,
	address TEXT NOT NULL,
	orcpt TEXT NOT NULL,
	notify INTEGER NOT NULL,
	state INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	next BIGINT NOT NULL,
	code INTEGER NOT NULL,
	status TEXT NOT NULL,
	reply TEXT NOT NULL,
	remote TEXT NOT NULL,
	delay_told INTEGER NOT NULL
);
CREATE INDEX queue_due ON queue_rcpt (domain, next);
CREATE INDEX queue_rcpt_message ON queue_rcpt (message);

-- Answers to calls, so that a repeated call gets the same one. Two tables that take turns every ten
-- minutes, so forgetting is cheap.

CREATE TABLE call_even (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT PRIMARY KEY,
	kind INTEGER NOT NULL,
	owner BIGINT NOT NULL,
--sqlite answer BLOB NOT NULL
--postgres answer BYTEA NOT NULL
);
CREATE TABLE call_odd (
--sqlite id INTEGER PRIMARY KEY,
--postgres id BIGINT PRIMARY KEY,
	kind INTEGER NOT NULL,
	owner BIGINT NOT NULL,
--sqlite answer BLOB NOT NULL
--postgres answer BYTEA NOT NULL
);
