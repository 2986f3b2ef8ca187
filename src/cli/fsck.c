/* fsck.c - eilpost fsck: is everything there, does it fit together, and put it right.
 *
 * Exit codes are those of fsck(8) where it is about what was found: 0 nothing is wrong, 1 all that
 * was wrong is put right, 4 something is not, or is lost; else sysexits (75: the server is
 * running). */
#include "store/fsck.h"
#include "cli/cli.h"
#include "cli/data.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { RIGHT = 0, PUT_RIGHT = 1, STILL_WRONG = 4 };

struct wish {
	const char *data;
	struct fsck_options o;
	struct table table;
	bool json;
};

static const char *kind(const struct fsck_finding *f)
{
	if (f->severity == FSCK_NOTE)
		return "note";
	if (f->severity == FSCK_LOST)
		return "lost";
	return f->repaired ? "repaired" : "wrong";
}

static void found(void *arg, const struct fsck_finding *f)
{
	struct wish *w = arg;

	if (!w->json) {
		printf("%-9s %s\n", kind(f), f->text);
		return;
	}
	table_str(&w->table, str_c(f->check));
	table_str(&w->table, str_c(kind(f)));
	table_bool(&w->table, f->repaired);
	table_str(&w->table, str_c(f->text));
}

static int code_of(const struct fsck_result *r)
{
	if (r->wrong == 0)
		return RIGHT;
	return r->wrong == r->repaired && r->lost == 0 ? PUT_RIGHT : STILL_WRONG;
}

static void say_end(const struct wish *w, const struct fsck_result *r, bool online)
{
	if (w->json)
		return;
	if (!online)
		printf("%" PRIu64 " records in %" PRIu64 " segments, %" PRIu64 " bodies (%" PRIu64
		       " in files of their own)\n",
			r->records, r->segments, r->bodies, r->blobs);
	if (r->wrong == 0)
		puts(online ? "The index is right. The server is running: log and bodies were not"
			      " looked at; stop it for that."
			    : "All is right.");
	else if (r->wrong == r->repaired)
		printf("%" PRIu64 " things were wrong and are put right%s.\n", r->wrong,
			r->lost ? " as far as that goes" : "");
	else if (r->index_unusable)
		puts("The index cannot be used. `eilpost fsck --rebuild` makes it anew from a"
		     " snapshot and the log.");
	else
		printf("%" PRIu64 " things are wrong, %" PRIu64 " of them put right%s\n", r->wrong,
			r->repaired,
			w->o.repair || w->o.rebuild
				? "."
				: "; `eilpost fsck --repair` puts right what it can.");
	if (r->lost)
		printf("%" PRIu64 " of them say what is lost: it does not come back.\n", r->lost);
}

/* The server has the lock: read what can be read beside it. */
static int run_online(
	struct cli *c, struct wish *w, int dir, struct fsck_result *r, struct err *err)
{
	if (w->o.repair || w->o.rebuild)
		return err_set(err, ERR_TEMP, "the server is running: stop it first");
	(void)c;
	return fsck_online(dir, &w->o, r, err);
}

static int run(struct cli *c, struct wish *w)
{
	struct err err = ERR_INIT;
	struct fsck_result r = { 0 };
	bool online = false;
	int code, dir = cli_data_enter(c, w->data, &err);
	int result = dir >= 0 ? fsck_run(dir, &w->o, &r, &err) : -1;

	if (dir >= 0 && result < 0 && err.kind == ERR_EXISTS) {
		online = true;
		result = run_online(c, w, dir, &r, &err);
	}
	if (w->json)
		table_end(&w->table);
	if (result == 0)
		say_end(w, &r, online);
	code = result < 0 ? cli_fail(c, &err) : code_of(&r);
	if (dir >= 0)
		close(dir);
	return code;
}

static int go_back(struct cli *c, const struct wish *w, const char *to)
{
	struct err err = ERR_INIT;
	uint64_t format;
	int dir, r = -1;

	if (!str_u64(str_c(to), 1000, &format))
		return cli_usage(c, "%s is no number of a format", to);
	dir = cli_data_enter(c, w->data, &err);
	if (dir >= 0) {
		r = fsck_go_back(dir, w->o.path, (int64_t)format, &err);
		close(dir);
	}
	if (r < 0)
		return cli_fail(c, &err);
	printf("The index has format %s now, for the version before this one. The next start of "
	       "this"
	       " version brings it up to date again.\n",
		to);
	return EX_OK;
}

static int rewrite(struct cli *c, const struct wish *w, bool squeezed)
{
	struct err err = ERR_INIT;
	uint64_t changed = 0;
	int r = -1, dir = cli_data_enter(c, w->data, &err);

	if (dir >= 0) {
		r = fsck_rewrite(dir, w->o.path, squeezed, &changed, &err);
		close(dir);
	}
	if (r < 0 && err.kind == ERR_EXISTS)
		err_set(&err, ERR_TEMP, "the server is running: stop it first");
	if (r < 0)
		return cli_fail(c, &err);
	printf("%" PRIu64 " messages are %s now.\n", changed,
		squeezed ? "compressed" : "no longer compressed");
	return EX_OK;
}

int cli_fsck(struct cli *c)
{
	bool compress = false, uncompress = false;
	struct wish w = { .table = TABLE(true, "check", "kind", "repaired", "text"),
		.o = { .path = ".", .found = found } };
	const char *arg, *to = "";

	w.json = c->json;
	w.o.arg = &w;
	while ((arg = cli_arg(c))) {
		if (strcmp(arg, "--repair") == 0)
			w.o.repair = true;
		else if (strcmp(arg, "--rebuild") == 0)
			w.o.rebuild = true;
		else if (strcmp(arg, "--new-log") == 0)
			w.o.new_log = true;
		else if (strcmp(arg, "--compress") == 0)
			compress = true;
		else if (strcmp(arg, "--uncompress") == 0)
			uncompress = true;
		else if (strcmp(arg, "--to-format") == 0)
			to = cli_value(c, arg);
		else if (strcmp(arg, "--json") == 0)
			w.json = true;
		else if (strcmp(arg, "--data") != 0)
			return cli_usage(c, "\"%s\" is not known", arg);
		else
			w.data = cli_value(c, arg);
		if (!to || (strcmp(arg, "--data") == 0 && !w.data))
			return EX_USAGE;
	}
	w.o.repair |= w.o.new_log && !w.o.rebuild;
	if (*to)
		return go_back(c, &w, to);
	return compress || uncompress ? rewrite(c, &w, !uncompress) : run(c, &w);
}
