/* The index against itself. A row of the table below is one thing that must hold: `find` gives a
 * sentence for every place where it does not, `repair` are the statements that make it hold.
 * The order matters: what refers is looked at before what is referred to, and sums last. All of it
 * is the common dialect (db/db.h). */
#include "store/body.h"
#include "store/fsck_private.h"
#include "store/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { REPAIRS = 6 };

struct check {
	const char *name;
	enum fsck_severity severity;
	const char *find;
	const char *repair[REPAIRS];
};

#define ENTRY_SUMS                                                                                 \
	"(SELECT account, mailbox, count(*) AS messages,"                                          \
	" sum(CASE WHEN (flags & 1) = 0 THEN 1 ELSE 0 END) AS unseen,"                             \
	" sum(CASE WHEN (flags & 8) <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS bytes"        \
	" FROM entry GROUP BY account, mailbox) e"
/* What somebody can look at: neither the folder nor its account is removed. */
#define SEEN "m.removed = 0 AND m.account NOT IN (SELECT id FROM account WHERE removed <> 0)"
#define MAILBOX_SUMS                                                                               \
	"(SELECT account, sum(messages) AS messages, sum(bytes) AS bytes FROM mailbox"             \
	" WHERE removed = 0 GROUP BY account) m"
#define CHARGED                                                                                    \
	"(SELECT charged, sum(messages) AS messages, sum(bytes) AS bytes FROM account"             \
	" WHERE charged <> 0 GROUP BY charged) a"
#define UIDS                                                                                       \
	"(SELECT account, mailbox, max(uid) AS uid FROM (SELECT account, mailbox, uid FROM entry"  \
	" UNION ALL SELECT account, mailbox, uid FROM ghost) x GROUP BY account, mailbox) u"
#define EMAIL_USE                                                                                  \
	"(SELECT account, email, count(*) AS n FROM (SELECT account, email FROM entry"             \
	" UNION ALL SELECT account, email FROM ghost) x GROUP BY account, email) u"
#define BODY_USE                                                                                   \
	"(SELECT body, count(*) AS n FROM (SELECT body FROM email"                                 \
	" UNION ALL SELECT body FROM queue_message) x GROUP BY body) u"
#define RCPTS "(SELECT message, count(*) AS n FROM queue_rcpt GROUP BY message) r"
#define NO_BODY(t) "NOT EXISTS (SELECT 1 FROM body b WHERE b.id = " t ".body)"
#define NO_EMAIL(t)                                                                                \
	"NOT EXISTS (SELECT 1 FROM email e WHERE e.account = " t ".account AND e.id = " t ".email" \
	")"
#define NO_MAILBOX(t)                                                                              \
	"NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.account = " t ".account"                      \
	" AND m.id = " t ".mailbox)"
#define NO_ACCOUNT(t) "NOT EXISTS (SELECT 1 FROM account a WHERE a.id = " t ".account)"
#define NO_TARGET "NOT EXISTS (SELECT 1 FROM alias_target x WHERE x.address = t.id)"
#define ADDRESS_FLAGS                                                                              \
	"(CASE WHEN a.enabled = 0 THEN 1 ELSE 0 END + CASE WHEN a.quota_messages <> 0"             \
	" OR a.quota_bytes <> 0 OR a.charged <> 0 THEN 2 ELSE 0 END)"
/* A number that no name of a table has yet: there are more candidates than rows. */
#define FREE_NUMBER(id, table, whose, named)                                                       \
	"(SELECT min(c.n) FROM (SELECT " id " AS n FROM " table " WHERE " whose                    \
	" UNION ALL SELECT coalesce(max(" id "), 0) + 1 FROM " table " WHERE " whose               \
	") c WHERE NOT EXISTS (SELECT 1 FROM " table " WHERE " whose " AND " named "))"
/* The address that still leads to an account that is not there: its login, and its password's name.
 */
#define FREE_ADDRESS                                                                               \
	"(SELECT x.local || '@' || d.name FROM address x JOIN domain d ON d.id = x.domain"         \
	" WHERE x.account = t.account AND NOT EXISTS (SELECT 1 FROM account o"                     \
	" WHERE o.login = x.local || '@' || d.name) ORDER BY x.id LIMIT 1)"
#define MAKE_ACCOUNT(login)                                                                        \
	"INSERT INTO account (id, login, full_name, enabled, created, removed, modseq,"            \
	" next_email, next_mailbox, next_uidvalidity)"                                             \
	" SELECT t.account, " login ", '', 1, 0, 0, 0, 1, 1, 1 FROM entry t"                       \
	" WHERE " NO_ACCOUNT("t") " GROUP BY t.account ON CONFLICT DO NOTHING"
#define MAKE_MAILBOX(name)                                                                         \
	"INSERT INTO mailbox (account, id, name, uses, uidvalidity, uidnext, modseq, messages,"    \
	" unseen, deleted, bytes, recent_from, keywords, created, changed, removed)"               \
	" SELECT t.account, t.mailbox, " name ", 0, max(a.next_uidvalidity), 1, max(t.modseq),"    \
	" 0, 0, 0, 0, 1, '', 0, 0, 0 FROM entry t JOIN account a ON a.id = t.account"              \
	" WHERE " NO_MAILBOX("t") " GROUP BY t.account, t.mailbox ON CONFLICT DO NOTHING"
/* The login of t ends in the name of d. */
#define LOGIN_IN_DOMAIN "substr(t.login, length(t.login) - length(d.name)) = '@' || d.name"
#define LAST_NUMBER(table) "(SELECT coalesce(max(id), 0) FROM " table ")"

static const struct check checks[] = {
	/* Mail whose bytes are nowhere. */
	{ "email.body", FSCK_LOST,
		"SELECT 'message ' || t.id || ' of account ' || t.account || ' has lost "
		"its body'"
		" FROM email t WHERE " NO_BODY("t"),
		{ "DELETE FROM email AS t WHERE " NO_BODY("t") } },
	{ "queue.body", FSCK_LOST,
		"SELECT 'message ' || t.id || ' in the queue, from <' || t.sender ||"
		" '>, has lost its body' FROM queue_message t WHERE " NO_BODY("t"),
		{ "DELETE FROM queue_rcpt WHERE message IN"
		  " (SELECT t.id FROM queue_message t WHERE " NO_BODY("t") ")",
			"DELETE FROM queue_message AS t WHERE " NO_BODY("t") } },
	{ "queue.message", FSCK_LOST,
		"SELECT 'recipient <' || t.address || '> in the queue belongs to message ' "
		"||"
		" t.message || ', which is not there' FROM queue_rcpt t WHERE NOT EXISTS"
		" (SELECT 1 FROM queue_message m WHERE m.id = t.message)",
		{ "DELETE FROM queue_rcpt AS t WHERE NOT EXISTS"
		  " (SELECT 1 FROM queue_message m WHERE m.id = t.message)" } },
	{ "entry.body", FSCK_LOST,
		"SELECT 'message ' || t.uid || ' in folder ' || t.mailbox || ' of account "
		"' ||"
		" t.account || ' has lost its body' FROM entry t WHERE " NO_EMAIL(
			"t") " AND " NO_BODY("t"),
		{ "DELETE FROM entry AS t WHERE " NO_EMAIL("t") " AND " NO_BODY("t") } },
	{ "entry.email", FSCK_WRONG,
		"SELECT 'message ' || t.uid || ' in folder ' || t.mailbox || ' of account "
		"' ||"
		" t.account || ' has lost what stood in front of it (Return-Path and the "
		"like)'"
		" FROM entry t WHERE " NO_EMAIL("t"),
		{ "UPDATE entry AS t SET size = size - prefix_size, prefix_size = 0"
		  " WHERE " NO_EMAIL("t"),
			"INSERT INTO email (account, id, thread, body, size, received, "
			"links,"
			" created, prefix) SELECT t.account, t.email, t.thread, t.body, "
			"t.size,"
			" t.received, 0, t.created, '' FROM entry t WHERE " NO_EMAIL(
				"t") " ON CONFLICT DO NOTHING" } },
	{ "ghost.email", FSCK_WRONG,
		"SELECT 'expunged message ' || t.uid || ' in folder ' || t.mailbox ||"
		" ' of account ' || t.account || ' refers to nothing' FROM ghost t "
		"WHERE " NO_EMAIL("t"),
		{ "DELETE FROM ghost AS t WHERE " NO_EMAIL("t") } },
	{ "entry.copies", FSCK_WRONG,
		"SELECT 'message ' || t.uid || ' in folder ' || t.mailbox || ' of account "
		"' ||"
		" t.account || ' disagrees with the email that it shows'"
		" FROM entry t JOIN email e ON e.account = t.account AND e.id = t.email"
		" WHERE t.body <> e.body OR t.thread <> e.thread OR t.size <> e.size"
		" OR t.prefix_size <> length(e.prefix)",
		{ "UPDATE entry AS t SET body = e.body, thread = e.thread, size = e.size,"
		  " prefix_size = length(e.prefix) FROM email e"
		  " WHERE e.account = t.account AND e.id = t.email AND (t.body <> e.body"
		  " OR t.thread <> e.thread OR t.size <> e.size"
		  " OR t.prefix_size <> length(e.prefix))" } },
	{ "email.size", FSCK_WRONG,
		"SELECT 'message ' || e.id || ' of account ' || e.account || ' says it has "
		"' ||"
		" e.size || ' bytes and has ' || (b.size + length(e.prefix)) FROM email e"
		" JOIN body b ON b.id = e.body WHERE e.size <> b.size + length(e.prefix)",
		{ "UPDATE email AS e SET size = b.size + length(e.prefix) FROM body b"
		  " WHERE b.id = e.body AND e.size <> b.size + length(e.prefix)",
			"UPDATE entry AS t SET size = e.size FROM email e"
			" WHERE e.account = t.account AND e.id = t.email AND t.size <> "
			"e.size" } },

	/* Folders and accounts that are not there. */
	{ "entry.account", FSCK_WRONG,
		"SELECT 'account ' || t.account || ' has mail and does not exist'"
		" FROM entry t WHERE " NO_ACCOUNT("t") " GROUP BY t.account",
		{ MAKE_ACCOUNT(
			  "coalesce(" FREE_ADDRESS ", 'recovered-' || t.account || '@localhost')"),
			MAKE_ACCOUNT("'recovered-' || t.account || '-' || " FREE_NUMBER("id",
				"account", "1 = 1",
				"login = 'recovered-' || t.account || '-' || c.n || "
				"'@localhost'") " || '@localhost'") } },
	{ "entry.mailbox", FSCK_WRONG,
		"SELECT 'folder ' || t.mailbox || ' of account ' || t.account ||"
		" ' has mail and does not exist' FROM entry t WHERE " NO_MAILBOX(
			"t") " GROUP BY t.account, t.mailbox",
		{ MAKE_MAILBOX("'Recovered-' || t.mailbox"),
			MAKE_MAILBOX("'Recovered-' || t.mailbox || '-' || " FREE_NUMBER("id",
				"mailbox", "account = t.account",
				"name = 'Recovered-' || t.mailbox || '-' || c.n")) } },
	{ "ghost.mailbox", FSCK_WRONG,
		"SELECT 'expunged mail is in folder ' || t.mailbox || ' of account ' || "
		"t.account"
		" || ', which does not exist' FROM ghost t WHERE " NO_MAILBOX(
			"t") " GROUP BY t.account, t.mailbox",
		{ "DELETE FROM ghost AS t WHERE " NO_MAILBOX("t") } },
	{ "mailbox.account", FSCK_WRONG,
		"SELECT 'folder ' || t.id || ' belongs to account ' || t.account ||"
		" ', which does not exist' FROM mailbox t WHERE " NO_ACCOUNT("t"),
		{ "DELETE FROM mailbox AS t WHERE " NO_ACCOUNT("t") } },
	{ "address.account", FSCK_WRONG,
		"SELECT 'address ' || t.local || ' (' || t.id || ') leads to account ' ||"
		" t.account || ', which does not exist' FROM address t"
		" WHERE t.account <> 0 AND " NO_ACCOUNT("t"),
		{ "DELETE FROM address AS t WHERE t.account <> 0 AND " NO_ACCOUNT("t") } },
	{ "address.domain", FSCK_WRONG,
		"SELECT 'address ' || t.local || ' (' || t.id || ') is in domain ' || "
		"t.domain ||"
		" ', which does not exist' FROM address t WHERE NOT EXISTS"
		" (SELECT 1 FROM domain d WHERE d.id = t.domain)",
		{ "INSERT INTO domain (id, name, kind) SELECT t.domain,"
		  " min(substr(a.login, length(t.local) + 2)), 1 FROM address t"
		  " JOIN account a ON a.id = t.account"
		  " WHERE substr(a.login, 1, length(t.local) + 1) = t.local || '@'"
		  " AND NOT EXISTS (SELECT 1 FROM domain d WHERE d.id = t.domain)"
		  " GROUP BY t.domain ON CONFLICT DO NOTHING",
			"DELETE FROM address AS t WHERE NOT EXISTS"
			" (SELECT 1 FROM domain d WHERE d.id = t.domain)" } },
	{ "account.address", FSCK_WRONG,
		"SELECT 'account ' || t.login || ' has no address, so no mail reaches it'"
		" FROM account t WHERE t.login IS NOT NULL AND NOT EXISTS"
		" (SELECT 1 FROM address x WHERE x.account = t.id)",
		{ "INSERT INTO domain (id, name, kind)"
		  " SELECT (SELECT coalesce(max(id), 0) FROM domain) + 1, 'localhost', 1"
		  " FROM account t WHERE t.login LIKE 'recovered-%@localhost'"
		  " AND NOT EXISTS (SELECT 1 FROM address x WHERE x.account = t.id)"
		  " LIMIT 1 ON CONFLICT DO NOTHING",
			"INSERT INTO address (id, domain, local, account)"
			" SELECT (SELECT coalesce(max(id), 0) FROM address) + t.id, d.id,"
			" substr(t.login, 1, length(t.login) - length(d.name) - 1), t.id"
			" FROM account t JOIN domain d ON " LOGIN_IN_DOMAIN
			" WHERE t.login IS NOT NULL AND NOT EXISTS"
			" (SELECT 1 FROM address x WHERE x.account = t.id) ON CONFLICT DO "
			"NOTHING" } },
	{ "alias.target", FSCK_LOST,
		"SELECT 'alias ' || t.local || ' (' || t.id || ') leads nowhere any more'"
		" FROM address t WHERE t.account = 0 AND " NO_TARGET,
		{ "DELETE FROM address AS t WHERE t.account = 0 AND " NO_TARGET } },
	{ "alias.address", FSCK_WRONG,
		"SELECT 'a target, ' || t.target || ', belongs to no alias' FROM "
		"alias_target t"
		" WHERE NOT EXISTS (SELECT 1 FROM address x WHERE x.id = t.address"
		" AND x.account = 0)",
		{ "DELETE FROM alias_target AS t WHERE NOT EXISTS"
		  " (SELECT 1 FROM address x WHERE x.id = t.address AND x.account = 0)" } },
	{ "account.charged", FSCK_WRONG,
		"SELECT 'account ' || coalesce(a.login, '') || ' is charged to a domain "
		"without a"
		" quota' FROM account a WHERE a.charged <> 0 AND NOT EXISTS (SELECT 1 FROM "
		"domain d"
		" WHERE d.id = a.charged AND (d.quota_messages <> 0 OR d.quota_bytes <> "
		"0))",
		{ "UPDATE account AS a SET charged = 0 WHERE a.charged <> 0 AND NOT EXISTS"
		  " (SELECT 1 FROM domain d WHERE d.id = a.charged"
		  " AND (d.quota_messages <> 0 OR d.quota_bytes <> 0))" } },
	{ "address.flags", FSCK_WRONG,
		"SELECT 'address ' || t.local || ' (' || t.id || ') disagrees with its "
		"account'"
		" FROM address t JOIN account a ON a.id = t.account WHERE t.flags "
		"<> " ADDRESS_FLAGS,
		{ "UPDATE address AS t SET flags = " ADDRESS_FLAGS " FROM account a"
		  " WHERE a.id = t.account AND t.flags <> " ADDRESS_FLAGS } },
	{ "account.orphans", FSCK_WRONG,
		"SELECT 'something of account ' || t.account || ' is left, which does not "
		"exist'"
		" FROM (SELECT account FROM identity UNION SELECT account FROM subscription"
		" UNION SELECT account FROM thread_key UNION SELECT account FROM thread_new"
		" UNION SELECT account FROM sending"
		" UNION SELECT account FROM correspondent) t WHERE " NO_ACCOUNT("t"),
		{ "DELETE FROM identity AS t WHERE " NO_ACCOUNT("t"),
			"DELETE FROM subscription AS t WHERE " NO_ACCOUNT("t"),
			"DELETE FROM thread_key AS t WHERE " NO_ACCOUNT("t"),
			"DELETE FROM thread_new AS t WHERE " NO_ACCOUNT("t"),
			"DELETE FROM sending AS t WHERE " NO_ACCOUNT("t"),
			"DELETE FROM correspondent AS t WHERE " NO_ACCOUNT("t") } },

	/* Links: who refers. The last one that goes takes it along. */
	{ "email.links", FSCK_WRONG,
		"SELECT 'message ' || e.id || ' of account ' || e.account || ' counts ' || "
		"e.links"
		" || ' entries and has ' || coalesce(u.n, 0) FROM email e LEFT "
		"JOIN " EMAIL_USE " ON u.account = e.account AND u.email = e.id WHERE "
		"e.links <> coalesce(u.n, 0)",
		{ "UPDATE email AS e SET links = u.n FROM " EMAIL_USE
		  " WHERE u.account = e.account AND u.email = e.id AND e.links <> u.n",
			"DELETE FROM email WHERE (account, id) NOT IN (SELECT account, "
			"email FROM entry"
			" UNION SELECT account, email FROM ghost)" } },
	{ "queue.waiting", FSCK_WRONG,
		"SELECT 'message ' || m.id || ' in the queue, from <' || m.sender || '>, "
		"counts '"
		" || m.waiting || ' recipients and has ' || coalesce(r.n, 0)"
		" FROM queue_message m LEFT JOIN " RCPTS " ON r.message = m.id"
		" WHERE m.waiting <> coalesce(r.n, 0)",
		{ "UPDATE queue_message AS m SET waiting = r.n FROM " RCPTS
		  " WHERE r.message = m.id AND m.waiting <> r.n",
			"DELETE FROM queue_message WHERE id NOT IN"
			" (SELECT message FROM queue_rcpt)" } },
	{ "queue.domain", FSCK_WRONG,
		"SELECT 'domain ' || t.domain || ' in the queue is not known to be due when it is'"
		" FROM (SELECT domain, next FROM queue_domain UNION ALL SELECT domain, min(next)"
		" FROM queue_rcpt GROUP BY domain) t GROUP BY t.domain"
		" HAVING count(*) <> 2 OR min(t.next) <> max(t.next)",
		{ "DELETE FROM queue_domain",
			"INSERT INTO queue_domain (domain, next)"
			" SELECT domain, min(next) FROM queue_rcpt GROUP BY domain" } },
	{ "body.links", FSCK_WRONG,
		"SELECT 'body ' || b.id || ' counts ' || b.links || ' messages and has ' ||"
		" coalesce(u.n, 0) FROM body b LEFT JOIN " BODY_USE
		" ON u.body = b.id WHERE b.links <> coalesce(u.n, 0)",
		{ "UPDATE body AS b SET links = u.n FROM " BODY_USE
		  " WHERE u.body = b.id AND b.links <> u.n",
			"DELETE FROM body WHERE id NOT IN (SELECT body FROM email"
			" UNION SELECT body FROM queue_message)" } },

	/* Numbers that only grow. */
	{ "mailbox.uidnext", FSCK_WRONG,
		"SELECT 'folder ' || coalesce(m.name, m.id || '') || ' of account ' || "
		"m.account ||"
		" ' would give uid ' || m.uidnext || ' again' FROM mailbox m JOIN " UIDS
		" ON u.account = m.account AND u.mailbox = m.id WHERE m.uidnext <= u.uid",
		{ "UPDATE mailbox AS m SET uidnext = u.uid + 1 FROM " UIDS
		  " WHERE u.account = m.account AND u.mailbox = m.id AND m.uidnext <= "
		  "u.uid" } },
	{ "account.modseq", FSCK_WRONG,
		"SELECT 'account ' || a.id || ' counts ' || a.modseq || ' changes and "
		"shows '"
		" || max(m.modseq) FROM account a JOIN mailbox m ON m.account = a.id"
		" GROUP BY a.id, a.modseq HAVING max(m.modseq) > a.modseq",
		{ "UPDATE account AS a SET modseq = m.modseq FROM (SELECT account,"
		  " max(modseq) AS modseq FROM mailbox GROUP BY account) m"
		  " WHERE m.account = a.id AND m.modseq > a.modseq" } },
	{ "account.next", FSCK_WRONG,
		"SELECT 'account ' || a.id || ' would give a number again' FROM account a"
		" WHERE a.next_email <= (SELECT coalesce(max(id), 0) FROM email e"
		" WHERE e.account = a.id) OR a.next_mailbox <= (SELECT coalesce(max(id), 0)"
		" FROM mailbox m WHERE m.account = a.id) OR a.next_uidvalidity <="
		" (SELECT coalesce(max(uidvalidity), 0) FROM mailbox m WHERE m.account = "
		"a.id)",
		{ "UPDATE account AS a SET next_email = e.last + 1 FROM (SELECT account,"
		  " max(id) AS last FROM email GROUP BY account) e"
		  " WHERE e.account = a.id AND a.next_email <= e.last",
			"UPDATE account AS a SET next_mailbox = m.last + 1 FROM (SELECT "
			"account,"
			" max(id) AS last FROM mailbox GROUP BY account) m"
			" WHERE m.account = a.id AND a.next_mailbox <= m.last",
			"UPDATE account AS a SET next_uidvalidity = m.last + 1 FROM"
			" (SELECT account, max(uidvalidity) AS last FROM mailbox GROUP BY "
			"account)"
			" m WHERE m.account = a.id AND a.next_uidvalidity <= m.last" } },
	{ "next", FSCK_WRONG,
		"SELECT 'a number of a domain, account, address, body or recipient would "
		"be given"
		" again' FROM log_position WHERE next_domain <= " LAST_NUMBER(
			"domain") " OR next_account <= " LAST_NUMBER("account") " OR "
										"next_"
										"address"
										" <="
										" " LAST_NUMBER(
											"ad"
											"dr"
											"es"
											"s") " OR "
											     "next_"
											     "body "
											     "<="
											     " " LAST_NUMBER(
												     "bo"
												     "d"
												     "y") " OR "
													  "next_"
													  "rcpt "
													  "<="
													  " " LAST_NUMBER(
														  "queue_rcpt"),
		{ "UPDATE log_position SET next_domain = CASE WHEN next_domain "
		  "> " LAST_NUMBER("domain") " THEN next_domain ELSE 1 + " LAST_NUMBER(
			  "domain") " END, next_account = CASE WHEN next_account "
				    "> " LAST_NUMBER("account") " THEN next_account ELSE 1 "
								"+ " LAST_NUMBER("account") " END",
			"UPDATE log_position SET next_address = CASE WHEN next_address "
			"> " LAST_NUMBER(
				"address") " THEN next_address ELSE 1 "
					   "+ " LAST_NUMBER(
						   "address") " END, "
							      "next_body "
							      "= CASE "
							      "WHEN "
							      "next_body "
							      ">"
							      " " LAST_NUMBER(
								      "body") " THEN next_body "
									      "ELSE 1 "
									      "+ " LAST_NUMBER(
										      "bo"
										      "d"
										      "y") " END",
			"UPDATE log_position SET next_rcpt = CASE WHEN next_rcpt "
			"> " LAST_NUMBER("queue_rcpt") " THEN next_rcpt ELSE 1 "
						       "+ " LAST_NUMBER("queue_rcpt") " END" } },

	{ "segment.counters", FSCK_WRONG,
		"SELECT 'segment ' || t.number || ' of the log counts ' || sum(t.bodies) ||"
		" ' bodies too many, ' || sum(t.bytes) || ' bytes' FROM (SELECT number, "
		"bodies,"
		" bytes FROM segment UNION ALL SELECT segment, -1, -carried"
		" - " BODY_IN_LOG " FROM body WHERE segment <> 0) t GROUP BY t.number"
		" HAVING sum(t.bodies) <> 0 OR sum(t.bytes) <> 0",
		{ "DELETE FROM segment",
			"INSERT INTO segment (number, bytes, bodies) SELECT segment,"
			" sum(carried + " BODY_IN_LOG
			"), count(*) FROM body WHERE segment <> 0 GROUP BY segment" } },

	/* Sums. */
	{ "mailbox.counters", FSCK_WRONG,
		"SELECT 'folder ' || coalesce(m.name, '') || ' of account ' || m.account ||"
		" ' counts ' || m.messages || ' messages, ' || m.unseen || ' unseen, ' || "
		"m.deleted"
		" || ' deleted, ' || m.bytes || ' bytes and has ' || coalesce(e.messages, "
		"0) ||"
		" ', ' || coalesce(e.unseen, 0) || ', ' || coalesce(e.deleted, 0) || ', ' "
		"||"
		" coalesce(e.bytes, 0) FROM mailbox m LEFT JOIN " ENTRY_SUMS
		" ON e.account = m.account AND e.mailbox = m.id WHERE " SEEN
		" AND (m.messages <> coalesce(e.messages, 0) OR m.unseen <> "
		"coalesce(e.unseen, 0)"
		" OR m.deleted <> coalesce(e.deleted, 0) OR m.bytes <> coalesce(e.bytes, "
		"0))",
		{ "UPDATE mailbox SET messages = 0, unseen = 0, deleted = 0, bytes = 0"
		  " WHERE removed = 0 AND account NOT IN (SELECT id FROM account WHERE "
		  "removed <> 0)",
			"UPDATE mailbox AS m SET messages = e.messages, unseen = e.unseen,"
			" deleted = e.deleted, bytes = e.bytes FROM " ENTRY_SUMS
			" WHERE e.account = m.account AND e.mailbox = m.id AND " SEEN } },
	{ "account.counters", FSCK_WRONG,
		"SELECT 'account ' || coalesce(a.login, '') || ' counts ' || a.messages ||"
		" ' messages, ' || a.bytes || ' bytes and has ' || coalesce(m.messages, 0) "
		"|| ', '"
		" || coalesce(m.bytes, 0) FROM account a LEFT JOIN " MAILBOX_SUMS
		" ON m.account = a.id WHERE a.removed = 0 AND (a.messages <>"
		" coalesce(m.messages, 0) OR a.bytes <> coalesce(m.bytes, 0))",
		{ "UPDATE account SET messages = 0, bytes = 0 WHERE removed = 0",
			"UPDATE account AS a SET messages = m.messages, bytes = m.bytes"
			" FROM " MAILBOX_SUMS " WHERE m.account = a.id AND a.removed = 0" } },
	{ "domain.counters", FSCK_WRONG,
		"SELECT 'domain ' || d.name || ' counts ' || d.messages || ' messages, ' "
		"|| d.bytes"
		" || ' bytes and has ' || coalesce(a.messages, 0) || ', ' || "
		"coalesce(a.bytes, 0)"
		" FROM domain d LEFT JOIN " CHARGED " ON a.charged = d.id"
		" WHERE (d.quota_messages <> 0 OR d.quota_bytes <> 0) AND"
		" (d.messages <> coalesce(a.messages, 0) OR d.bytes <> coalesce(a.bytes, "
		"0))",
		{ "UPDATE domain SET messages = 0, bytes = 0",
			"UPDATE domain AS d SET messages = a.messages, bytes = a.bytes "
			"FROM " CHARGED " WHERE a.charged = d.id" } },
	{ "sending.known", FSCK_WRONG,
		"SELECT 'account ' || s.account || ' counts ' || s.known || ' "
		"correspondents and"
		" has ' || coalesce(c.n, 0) FROM sending s LEFT JOIN (SELECT account, "
		"count(*) AS n"
		" FROM correspondent GROUP BY account) c ON c.account = s.account"
		" WHERE s.known <> coalesce(c.n, 0)",
		{ "UPDATE sending SET known = 0",
			"UPDATE sending AS s SET known = c.n FROM (SELECT account, "
			"count(*) AS n"
			" FROM correspondent GROUP BY account) c WHERE c.account = "
			"s.account" } },
	/* Nobody sees these, and a purge does not count; but an account can be brought back. */
	{ "removed.counters", FSCK_NOTE,
		"SELECT count(*) || ' removed folders and accounts count other than they hold'"
		" FROM (SELECT m.id FROM mailbox m LEFT JOIN " ENTRY_SUMS
		" ON e.account = m.account AND e.mailbox = m.id WHERE NOT (" SEEN
		") AND (m.messages <> coalesce(e.messages, 0) OR m.unseen <>"
		" coalesce(e.unseen, 0) OR m.deleted <> coalesce(e.deleted, 0)"
		" OR m.bytes <> coalesce(e.bytes, 0)) UNION ALL SELECT a.id FROM account a"
		" LEFT JOIN " MAILBOX_SUMS " ON m.account = a.id WHERE a.removed <> 0"
		" AND (a.messages <> coalesce(m.messages, 0) OR a.bytes <>"
		" coalesce(m.bytes, 0))) t HAVING count(*) > 0",
		{ "UPDATE mailbox AS m SET messages = 0, unseen = 0, deleted = 0, bytes = 0"
		  " WHERE NOT (" SEEN ")",
			"UPDATE mailbox AS m SET messages = e.messages, unseen = e.unseen,"
			" deleted = e.deleted, bytes = e.bytes FROM " ENTRY_SUMS
			" WHERE e.account = m.account AND e.mailbox = m.id AND NOT (" SEEN ")",
			"UPDATE account SET messages = 0, bytes = 0 WHERE removed <> 0",
			"UPDATE account AS a SET messages = m.messages, bytes = m.bytes"
			" FROM " MAILBOX_SUMS " WHERE m.account = a.id AND a.removed <> 0" } },
};
enum { CHECKS = sizeof checks / sizeof checks[0] };

/* Tell what one check finds: how many. */
static int64_t tell(struct fsck *f, const struct check *c, bool repaired, struct err *err)
{
	int64_t found = 0;
	struct rows *r;
	int got;

	if (db_query(f->db, &r, c->find, DB_NOARGS, err) < 0)
		return err_wrap(err, "check %s", c->name);
	while ((got = rows_next(r, err)) == 1) {
		struct str text = rows_str(r, 0);

		if (found++ < FSCK_TOLD)
			fsck_say(f, c->name, c->severity, repaired, STR_F, STR_A(text));
	}
	rows_free(&r);
	if (got == 0 && found > FSCK_TOLD)
		fsck_say(f, c->name, c->severity, repaired, "and %lld more like these",
			(long long)found - FSCK_TOLD);
	return got < 0 ? err_wrap(err, "check %s", c->name) : found;
}

static int check_one(struct fsck *f, const struct check *c, bool repair, struct err *err)
{
	int64_t found = tell(f, c, repair && c->repair[0], err);

	for (int i = 0; repair && found > 0 && i < REPAIRS && c->repair[i]; i++)
		if (db_exec(f->db, c->repair[i], DB_NOARGS, err) < 0)
			return err_wrap(err, "repair %s", c->name);
	return found < 0 ? -1 : 0;
}

int fsck_check_index(struct fsck *f, bool repair, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < CHECKS; i++)
		r = check_one(f, &checks[i], repair, err);
	return r;
}

bool fsck_index_is_whole(struct fsck *f)
{
	struct err err = ERR_INIT;
	unsigned told = 0;
	struct rows *r;
	int got = -1;

	if (db_query(f->db, &r, "PRAGMA integrity_check(20)", DB_NOARGS, &err) == 0) {
		while ((got = rows_next(r, &err)) == 1 && !str_eq(rows_str(r, 0), STR("ok")))
			if (told++ < FSCK_TOLD)
				fsck_say(f, "index.damage", FSCK_WRONG, false, "index.db: " STR_F,
					STR_A(rows_str(r, 0)));
		rows_free(&r);
	}
	if (got < 0)
		fsck_say(f, "index.damage", FSCK_WRONG, false, "index.db: %s", err.msg);
	return got >= 0 && told == 0;
}
