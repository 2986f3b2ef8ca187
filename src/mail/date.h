/* date.h - dates as mail writes them.
 *
 * A moment is seconds since 1970 (UTC, no leap seconds) with the zone it was written in, in minutes
 * east. Years 1900 to 9999. Parsers take any bytes and answer true or false; printers append.
 */
#ifndef MAIL_DATE_H
#define MAIL_DATE_H

#include "base/str.h"

struct date {
	int64_t unix;
	int zone; /* minutes east of UTC */
};

/* RFC 5322 3.3, and what old or careless programs write (4.3): comments, two-digit years,
 * named zones, no seconds, no zone (taken as UTC), no or any day name. */
bool date_parse(struct str s, struct date *d);
/* "Mon, 02 Jan 2006 15:04:05 +0100" */
void date_print(struct buf *b, struct date d);

/* IMAP date-time (RFC 3501 9): "02-Jan-2006 15:04:05 +0100" without the quotes; the day may have
 * a space for its first digit. */
bool date_imap_parse(struct str s, struct date *d);
void date_imap_print(struct buf *b, struct date d);

/* IMAP date: "2-Jan-2006" gives days since 1970. */
bool date_imap_day_parse(struct str s, int64_t *day);

/* The calendar day of a moment, as its writer saw it, in days since 1970. */
int64_t date_day(struct date d);

/* "2006-01-02T14:04:05Z" (RFC 3339) for logs and reports; always UTC. */
void date_iso_print(struct buf *b, int64_t unix);
/* RFC 3339 5.6 date-time, all of s: "2006-01-02T15:04:05.5+01:00"; *nanos is the fraction. */
bool date_iso_parse(struct str s, struct date *d, int64_t *nanos);

#endif
