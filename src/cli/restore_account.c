/* restore_account.c - eilpost restore --account: mail of one account, from a backup into the
 * running server. What is in its folder already stays as it is, so the same command may be given
 * again. */
#include "cli/feed.h"
#include "cli/restore.h"
#include "cli/table.h"
#include "store/backup.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/snapshot.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NAMES_MAX = 64 << 20, PIECE = 256 << 10 };
#define LOOK "account" /* the name under which the backup is looked into, below its folder */

struct bringing {
	struct cli *c;
	struct str login, folder;
	struct store *store; /* what the backup holds */
	struct view view;
	uint64_t account;
	struct buf names; /* of folders, each with a NUL */
	struct feed feed;
	struct table table;

	struct mailbox mailbox;
	uint32_t uid;
	uint64_t done;
	struct err failed;
	uint64_t refused; /* in all */
};

static bool is_wanted(const struct bringing *b, struct str name)
{
	if (!b->folder.n || str_eq(name, b->folder))
		return true;
	return str_starts(name, b->folder) && name.p[b->folder.n] == '/';
}

static bool note_folder(void *arg, const struct mailbox_row *row)
{
	struct bringing *b = arg;

	if (row->id && is_wanted(b, row->name)) {
		buf_add(&b->names, row->name);
		buf_addc(&b->names, '\0');
	}
	return true;
}

static int read_message(void *arg, mbox_sink *sink, void *sink_arg, struct err *err)
{
	struct bringing *b = arg;
	struct buf piece = BUF(PIECE + 1);
	uint64_t at = 0, size = 1;
	int r = 0;

	while (r == 0 && at < size) {
		buf_clear(&piece);
		r = entry_read(
			&b->view, b->account, b->mailbox.id, b->uid, at, PIECE, &piece, &size, err);
		if (r == 0 && piece.n == 0)
			break;
		at += piece.n;
		if (r == 0)
			r = sink(sink_arg, buf_str(&piece), err);
	}
	buf_free(&piece);
	return r;
}

static bool bring_entry(void *arg, const struct entry *e)
{
	struct bringing *b = arg;
	char label[40];
	struct feed_item item = { .received = e->received,
		.flags = e->flags,
		.keywords = e->keywords,
		.read = read_message,
		.arg = b };
	int r;

	snprintf(label, sizeof label, "message %" PRIu32, e->uid);
	item.label = str_c(label);
	b->uid = e->uid;
	r = feed_put(&b->feed, &item, &b->failed);
	progress_to(&b->feed.progress, ++b->done, b->feed.imported + b->feed.present);
	return r == 0;
}

static int bring_folder(struct bringing *b, struct str name, struct err *err)
{
	struct feed *f = &b->feed;
	struct entry_query q = { .account = b->account };
	int r;

	if (mailbox_find(&b->view, b->account, name, &b->mailbox, err) < 0)
		return -1;
	q.mailbox = b->mailbox.id;
	b->done = 0;
	b->failed = ERR_INIT;
	progress_begin(&f->progress, name, b->mailbox.messages, false);
	r = feed_folder(f, name, true, err);
	if (r == 0)
		b->refused++;
	if (r != 1)
		return r;
	r = entry_list(&b->view, &q, bring_entry, b, err);
	if (r == 0 && b->failed.kind != ERR_NONE) {
		*err = b->failed;
		r = -1;
	}
	if (feed_flush(f, r < 0 ? &b->failed : err) < 0)
		r = -1;
	progress_end(&f->progress);
	table_str(&b->table, name);
	table_num(&b->table, f->imported);
	table_num(&b->table, f->present);
	table_num(&b->table, f->refused);
	b->refused += f->refused;
	return r;
}

static int bring_folders(struct bringing *b, struct err *err)
{
	struct str rest = buf_str(&b->names);
	int r = 0;

	while (r >= 0 && rest.n)
		r = bring_folder(b, str_word(&rest, '\0'), err);
	return r < 0 ? -1 : 0;
}

static int find_account(struct bringing *b, struct err *err)
{
	struct directory_login who;
	struct err why = ERR_INIT;

	if (directory_login(&b->view, b->login, &who, &why) < 0 || !who.account)
		return err_set(
			err, ERR_NOTFOUND, "the backup has no account " STR_F, STR_A(b->login));
	b->account = who.account;
	if (mailbox_list(&b->view, b->account, STR(""), note_folder, b, err) < 0)
		return -1;
	if (!buf_ok(&b->names))
		return err_set(err, ERR_TEMP, "out of memory for the names of folders");
	return b->names.n
		? 0
		: err_set(err, ERR_NOTFOUND, "the backup has no folder " STR_F " of " STR_F,
			  STR_A(b->folder), STR_A(b->login));
}

static int bring(struct bringing *b, int dir, struct err *err)
{
	const struct store_options o = { .readers = 1 };
	int r = -1;

	if (store_open(dir, &o, &b->store, err) < 0)
		return -1;
	store_hold(b->store);
	if (view_open(b->store, &b->view, err) == 0) {
		if (find_account(b, err) == 0 && feed_open(&b->feed, b->c, b->login, err) == 0) {
			r = bring_folders(b, err);
			feed_close(&b->feed);
		}
		view_close(&b->view);
	}
	store_close(&b->store);
	return r;
}

int cli_restore_account(
	struct cli *c, int from, uint64_t id, struct str login, struct str folder, struct err *err)
{
	struct bringing b = { .c = c,
		.login = login,
		.folder = folder,
		.names = BUF(NAMES_MAX),
		.table = TABLE(c->json, "folder", "brought back", "there already", "left out") };
	int dir, r = -1;

	if (backup_open(from, id, LOOK, err) < 0)
		return -1;
	dir = openat(from, LOOK, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		r = bring(&b, dir, err);
		close(dir);
	} else {
		err_sys(err, "open", LOOK);
	}
	backup_drop(from, LOOK);
	if (r == 0)
		table_end(&b.table);
	buf_free(&b.table.cells);
	buf_free(&b.names);
	return r == 0 && b.refused ? 1 : r;
}
