/* names.h - the numbers that messages between roles carry: channel classes, services, scopes,
 * flags and states. They go over channels only and may change with any version; what is stored on
 * disk has its own numbers in store/. */
#ifndef IPC_NAMES_H
#define IPC_NAMES_H

/* Who is at the other end of a channel. The master says so, never the peer. */
enum {
	WHO_MX = 1 << 0,      /* front: port 25 */
	WHO_SUBMIT = 1 << 1,  /* front: 587, 465 */
	WHO_MAILBOX = 1 << 2, /* front: IMAP, POP3, ManageSieve */
	WHO_WEB = 1 << 3,     /* front: HTTP */
	WHO_VAULT = 1 << 4,
	WHO_COURIER = 1 << 5,
	WHO_DNS = 1 << 6,
	WHO_STORE = 1 << 7,
	WHO_OPERATOR = 1 << 8, /* a command, passed on by the master */
	WHO_MASTER = 1 << 9,
	WHO_ROLE = 1 << 10,    /* any role, to its master */
	WHO_COMMAND = 1 << 11, /* whoever connects to the control socket */
	WHO_VAULT_ROLE = WHO_VAULT
};

enum service {
	SERVICE_SMTP,        /* 25 */
	SERVICE_SUBMISSION,  /* 587 */
	SERVICE_SUBMISSIONS, /* 465 */
	SERVICE_IMAP,
	SERVICE_IMAPS,
	SERVICE_POP3,
	SERVICE_POP3S,
	SERVICE_LMTP, /* from a mail server in front */
	SERVICE_COUNT
};

enum { SCOPE_SUBMIT = 1, SCOPE_MAIL = 2 };

/* Flags of an entry. \Recent belongs to sessions and is not stored. */
enum { FLAG_SEEN = 1, FLAG_ANSWERED = 2, FLAG_FLAGGED = 4, FLAG_DELETED = 8, FLAG_DRAFT = 16 };
enum { FLAGS_SET, FLAGS_ADD, FLAGS_REMOVE };

/* Special uses of a mailbox (RFC 6154). */
enum { USE_DRAFTS = 1, USE_SENT = 2, USE_JUNK = 4, USE_TRASH = 8, USE_ARCHIVE = 16 };

/* Of a delivery. */
enum {
	DELIVER_8BIT = 1,
	DELIVER_UTF8 = 2,
	DELIVER_LONG = 4,    /* a line over 998 octets */
	DELIVER_PER_RCPT = 8 /* who does not get it is told in the answer, not reported (LMTP) */
};
/* NOTIFY and RET of RFC 3461; 0 is "not said". */
enum { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };
enum { RET_FULL = 1, RET_HDRS = 2 };
/* RFC 6152, RFC 3030: what the body is. */
enum { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };
/* RFC 2852: what becomes of a message that is late; the third may be added to either. */
enum { BY_RETURN = 1, BY_NOTIFY = 2, BY_TRACE = 4 };
/* RFC 6710: -9 to 9 go over channels with 9 added. */
enum { PRIORITY_NORMAL = 9, PRIORITY_TOP = 18 };
/* RFC 7293: what to do where the next server cannot check. */
enum { RRVS_CONTINUE, RRVS_REJECT };

enum { RCPT_DELIVERED = 1, RCPT_DEFERRED, RCPT_FAILED, RCPT_RELEASED, RCPT_HELD };
enum { QUEUE_RETRY = 1, QUEUE_HOLD, QUEUE_RELEASE, QUEUE_DROP };
/* What a front tells of a transaction (store_note). */
enum {
	NOTE_NAMED = 1, /* a recipient, who would have been taken */
	NOTE_REJECTED,  /* a recipient, who was not */
	NOTE_REFUSED,   /* the whole message; the address is the sender's */
	NOTE_BROKEN_OFF /* by the client; the same */
};
enum { DOMAIN_LOCAL = 1, DOMAIN_RELAY = 2 };
/* SECRET_MARK: no secret; the first that is put stays, and says whose key seals all the others. */
enum { SECRET_VERIFIER = 1, SECRET_TLS_KEY, SECRET_PROVIDER, SECRET_DKIM, SECRET_MARK };
enum { DNS_OK, DNS_NXDOMAIN, DNS_NODATA, DNS_TEMP, DNS_BOGUS };

/* Files the master passes (control_file). */
enum {
	FILE_DATA_DIR = 1,
	FILE_SEAL,
	FILE_TLS_CHAIN,
	FILE_TLS_KEY,
	FILE_CA,
	FILE_PASSWORD,
	FILE_MAP
};

#endif
