/* recover.c - open a data directory as after a power cut, and say what is in it.
 *
 *	recover DIR
 *
 * Prints, for every place where a message with a ledger's mark lies, `found ID DIGEST PLACE`, a
 *place being LOGIN/MAILBOX:FLAGS or queue:ADDRESS; for every body that cannot be read `broken PLACE
 *UID WHY`. It then delivers one more message to everybody, which must be there at once. Exit code
 *0: the store opened, takes new mail, and all was listed; 1 with a sentence on standard error: it
 *did not.
 */
#include "listing.h"

#include <stdio.h>

static void print(void *arg, const struct listed *l)
{
	if (!l->place)
		printf("account " STR_F "\n", STR_A(l->id));
	else if (!l->digest)
		printf("broken %s %u %s\n", l->place, l->uid, l->why);
	else
		printf("found " STR_F " %s %s\n", STR_A(l->id), l->digest, l->place);
}

int main(int argc, char **argv)
{
	const struct store_options o = { .segment_bytes = CRASH_SEGMENT };
	struct store_figures f;
	struct err err = ERR_INIT;
	struct store *s;
	int dir;

	if (argc != 2) {
		fprintf(stderr, "usage: recover DIR\n");
		return 64;
	}
	dir = crash_directory(argv[1]);
	if (store_open(dir, &o, &s, &err) < 0)
		crash_die("open", &err);
	store_figures(s, &f);
	if (f.read_only)
		fprintf(stderr, "read-only: %s\n", f.alarm);
	else if (listing_probe(s, &err) < 0)
		crash_die("no new mail can be delivered", &err);
	if (listing(s, print, NULL, &err) < 0)
		crash_die("list", &err);
	store_close(&s);
	return f.read_only ? 1 : 0;
}
