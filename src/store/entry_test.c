#include "store/entry.h"
#include "store/store_help_test.h"
#include "store/store_private.h"

#define ANN "ann@example.org"
/* The index keeps them in their short form (pack.h). */
#define FACTS "facts of a message, facts of a message, facts of a message"

/* One account with `n` messages "m1" ... in its INBOX. */
static struct store *with_mail(void **state, int n)
{
	struct store *s = open_store(state);
	struct err err;
	char body[20];

	add_account(s, ANN);
	for (int i = 1; i <= n; i++) {
		struct mail_test m = {
			.id = (uint64_t)i, .sender = "", .to = ANN, .body = body, .facts = FACTS
		};

		snprintf(body, sizeof body, "m%d", i);
		assert_int_equal(mail(s, &m, &err), 0);
	}
	return s;
}

struct act {
	const char *ranges;  /* "1-3 5" */
	const char *mailbox; /* INBOX unless set */
	/* flags */
	enum entry_op op;
	uint32_t flags;
	const char *keywords;
	uint64_t unchanged_since;
	/* copy */
	const char *target;
	bool move, any;
	/* what came out */
	char from[80], to[300];
	uint64_t modseq;
	uint32_t next;
	struct buf encoded;
	struct mailbox m;
};

static void encode(struct act *a)
{
	struct str rest = str_c(a->ranges);

	a->encoded = BUF(10000);
	while (rest.n) {
		struct str word = str_word(&rest, ' '), first, last;
		uint64_t x = 0, y = 0;

		if (!str_cut(word, '-', &first, &last))
			first = last = word;
		assert_true(str_u64(first, UINT32_MAX, &x) && str_u64(last, UINT32_MAX, &y));
		effect_uid_range_put(
			&a->encoded, &(struct effect_uid_range){ (uint32_t)x, (uint32_t)y });
	}
}

static void show(struct range_list *l, char *text, size_t size)
{
	struct str seq = range_list_end(l);
	struct effect_uid_range r;

	text[0] = '\0';
	while (effect_uid_range_next(&seq, &r)) {
		size_t n = strlen(text);

		snprintf(text + n, size - n, r.first == r.last ? "%u " : "%u-%u ", r.first, r.last);
	}
	range_list_free(l);
}

static bool ignore_flag(
	void *arg, uint32_t uid, uint32_t flags, struct str keywords, uint64_t modseq)
{
	struct act *a = arg;
	size_t n = strlen(a->to);

	(void)modseq;
	snprintf(a->to + n, sizeof a->to - n, "%u:%u:%.*s ", uid, flags, (int)keywords.n,
		keywords.p);
	return true;
}

static int do_flags(struct txn *t, void *arg, struct err *err)
{
	struct act *a = arg;
	struct range_list failed = RANGE_LIST;
	struct entry_flags q = { .account = 1,
		.ranges = buf_str(&a->encoded),
		.op = a->op,
		.flags = a->flags,
		.keywords = str_c(a->keywords),
		.unchanged_since = a->unchanged_since };
	int r;

	a->to[0] = '\0';
	if (mailbox_find(&t->view, 1, str_c(a->mailbox ? a->mailbox : "INBOX"), &a->m, err) < 0)
		return -1;
	q.mailbox = a->m.id;
	r = entry_set_flags(t, &q, ignore_flag, a, &failed, &a->next, &a->modseq, err);
	show(&failed, a->from, sizeof a->from);
	return r;
}

static int do_expunge(struct txn *t, void *arg, struct err *err)
{
	struct act *a = arg;
	struct range_list out = RANGE_LIST;
	int r;

	if (mailbox_find(&t->view, 1, str_c(a->mailbox ? a->mailbox : "INBOX"), &a->m, err) < 0)
		return -1;
	r = entry_expunge(t, 1, a->m.id, buf_str(&a->encoded), a->any, &out, &a->modseq, err);
	show(&out, a->from, sizeof a->from);
	return r;
}

static int do_copy(struct txn *t, void *arg, struct err *err)
{
	struct act *a = arg;
	struct range_list from = RANGE_LIST, to = RANGE_LIST;
	struct entry_copy q = { .account = 1, .ranges = buf_str(&a->encoded), .move = a->move };
	struct mailbox target;
	int r;

	if (mailbox_find(&t->view, 1, str_c(a->mailbox ? a->mailbox : "INBOX"), &a->m, err) < 0 ||
		mailbox_find(&t->view, 1, str_c(a->target), &target, err) < 0)
		return -1;
	q.mailbox = a->m.id;
	q.target = target.id;
	r = entry_copy(t, &q, &from, &to, &a->modseq, err);
	show(&from, a->from, sizeof a->from);
	show(&to, a->to, sizeof a->to);
	return r;
}

static void act(struct store *s, int (*run)(struct txn *, void *, struct err *), struct act *a)
{
	struct err err;

	encode(a);
	if (change(s, run, a, &err) < 0)
		fail_msg("%s", err.msg);
	buf_free(&a->encoded);
}

static void flags_are_set_added_and_removed(void **state)
{
	struct store *s = with_mail(state, 3);
	struct box_test b;

	act(s, do_flags,
		&(struct act){ .ranges = "1-2",
			.op = ENTRY_ADD,
			.flags = STORE_SEEN,
			.keywords = "work urgent" });
	act(s, do_flags,
		&(struct act){ .ranges = "2-3",
			.op = ENTRY_ADD,
			.flags = STORE_FLAGGED | STORE_DELETED,
			.keywords = "Urgent new" });
	act(s, do_flags,
		&(struct act){ .ranges = "2",
			.op = ENTRY_REMOVE,
			.flags = STORE_DELETED,
			.keywords = "work" });
	box(s, ANN, "INBOX", &b);
	assert_string_equal(b.text, "1:1:work urgent:m1 2:5:urgent new:m2 3:12:Urgent new:m3 ");
	assert_int_equal(b.m.unseen, 1);
	assert_int_equal(b.m.deleted, 1);
	act(s, do_flags, &(struct act){ .ranges = "", .op = ENTRY_SET, .flags = STORE_ANSWERED });
	box(s, ANN, "INBOX", &b);
	assert_string_equal(b.text, "1:2::m1 2:2::m2 3:2::m3 ");
	assert_int_equal(b.m.unseen, 3);
	assert_int_equal(b.m.deleted, 0);
	store_close(&s);
}

static void entries_changed_since_are_left_alone(void **state)
{
	struct store *s = with_mail(state, 3);
	struct act first = { .ranges = "2", .op = ENTRY_ADD, .flags = STORE_SEEN };
	struct act second = { .ranges = "1-3", .op = ENTRY_ADD, .flags = STORE_FLAGGED };

	act(s, do_flags, &first);
	second.unchanged_since = first.modseq - 1;
	act(s, do_flags, &second);
	assert_string_equal(second.from, "2 ");
	assert_string_equal(second.to, "1:4: 3:4: ");
	store_close(&s);
}

static void what_changes_nothing_leaves_the_modseq(void **state)
{
	struct store *s = with_mail(state, 2);
	struct act a = { .ranges = "1-2", .op = ENTRY_ADD, .flags = STORE_SEEN }, b = a;

	act(s, do_flags, &a);
	act(s, do_flags, &b);
	assert_int_equal(a.modseq, b.modseq);
	store_close(&s);
}

struct listed {
	uint64_t mailbox;
	const char *facts;
	uint32_t rows, enough;
};

static bool list_entry(void *arg, const struct entry *e)
{
	struct listed *l = arg;

	assert_int_equal(e->uid, ++l->rows);
	assert_true(str_eq(e->facts, str_c(l->facts)));
	return l->rows < l->enough;
}

static int list_entries(struct view *v, void *arg, struct err *err)
{
	struct listed *l = arg;
	const struct entry_query q = {
		.account = 1, .mailbox = l->mailbox, .ghosts = true, .facts = l->facts[0] != '\0'
	};

	return entry_list(v, &q, list_entry, l, err);
}

static void many_flags_go_in_steps(void **state)
{
	struct store *s = with_mail(state, 2);
	struct act a = { .target = "Archive" },
		   f = { .mailbox = "Archive", .op = ENTRY_ADD, .flags = STORE_SEEN };
	struct listed all = { .facts = FACTS, .enough = UINT32_MAX },
		      some = { .facts = "", .enough = 700 };
	struct box_test b;
	struct err err;

	for (int i = 0; i < ENTRY_FLAGS_PER_CALL / 2 + 1; i++)
		act(s, do_copy, &a);
	act(s, do_flags, &f);
	assert_int_equal(f.next, ENTRY_FLAGS_PER_CALL + 1);
	f.ranges = "1001-2000";
	act(s, do_flags, &f);
	assert_int_equal(f.next, 0);
	box(s, ANN, "Archive", &b);
	assert_int_equal(b.m.unseen, 0);
	/* Entries and ghosts of a large folder, each once and in order. */
	act(s, do_expunge, &(struct act){ .mailbox = "Archive", .ranges = "2-600", .any = true });
	all.mailbox = some.mailbox = f.m.id;
	assert_int_equal(look(s, list_entries, &all, &err), 0);
	assert_int_equal(all.rows, ENTRY_FLAGS_PER_CALL + 2);
	assert_int_equal(look(s, list_entries, &some, &err), 0);
	assert_int_equal(some.rows, 700);
	store_close(&s);
}

static void expunge_takes_what_is_marked_and_ghosts_stay_readable(void **state)
{
	struct store *s = with_mail(state, 5);
	struct act a = { .ranges = "1-4" };
	struct box_test b;
	struct err err;

	act(s, do_flags,
		&(struct act){ .ranges = "2 4-5", .op = ENTRY_ADD, .flags = STORE_DELETED });
	act(s, do_expunge, &a);
	assert_string_equal(a.from, "2 4 ");
	box(s, ANN, "INBOX", &b);
	assert_string_equal(b.text, "1:0::m1 3:0::m3 5:8::m5 ");
	assert_int_equal(b.m.messages, 3);
	assert_int_equal(b.m.deleted, 1);
	assert_int_equal(b.m.uidnext, 6);
	b.ghosts = true;
	assert_int_equal(look(s, look_box, &b, &err), 0);
	assert_string_equal(b.text, "1:0::m1 2:8::m2 3:0::m3 4:8::m4 5:8::m5 ");
	store_close(&s);
}

struct ask {
	uint64_t since;
	uint32_t from;
	char text[200];
};

static int ask_vanished(struct view *v, void *arg, struct err *err)
{
	struct range_list out = RANGE_LIST;
	struct ask *q = arg;
	bool more;
	int r = entry_vanished(v, 1, 1, q->since, q->from, &out, &more, err);

	show(&out, q->text, sizeof q->text);
	return r;
}

static int ask_uids(struct view *v, void *arg, struct err *err)
{
	struct range_list out = RANGE_LIST;
	struct ask *q = arg;
	bool more;
	int r = entry_uids(v, 1, 1, q->from, &out, &more, err);

	show(&out, q->text, sizeof q->text);
	return r;
}

static void a_view_learns_what_vanished(void **state)
{
	struct store *s = with_mail(state, 6);
	struct act first = { .ranges = "1-2", .any = true },
		   second = { .ranges = "5", .any = true };
	struct ask q = { 0 };
	struct err err;

	assert_int_equal(look(s, ask_uids, &q, &err), 0);
	assert_string_equal(q.text, "1-6 ");
	act(s, do_expunge, &first);
	act(s, do_expunge, &second);
	assert_int_equal(look(s, ask_vanished, &q, &err), 0);
	assert_string_equal(q.text, "1-2 5 ");
	q.since = first.modseq;
	assert_int_equal(look(s, ask_vanished, &q, &err), 0);
	assert_string_equal(q.text, "5 ");
	assert_int_equal(look(s, ask_uids, &q, &err), 0);
	assert_string_equal(q.text, "3-4 6 ");
	store_close(&s);
}

static void a_copy_is_independent_of_its_original(void **state)
{
	struct store *s = with_mail(state, 3);
	struct act a = { .ranges = "1 3", .target = "Archive" };
	struct box_test b;

	act(s, do_flags,
		&(struct act){
			.ranges = "1", .op = ENTRY_ADD, .flags = STORE_SEEN, .keywords = "kept" });
	act(s, do_copy, &a);
	assert_string_equal(a.from, "1 3 ");
	assert_string_equal(a.to, "1-2 ");
	act(s, do_flags, &(struct act){ .ranges = "1", .op = ENTRY_SET });
	act(s, do_expunge, &(struct act){ .ranges = "3", .any = true });
	box(s, ANN, "Archive", &b);
	assert_string_equal(b.text, "1:1:kept:m1 2:0::m3 ");
	assert_int_equal(b.m.unseen, 1);
	box(s, ANN, "INBOX", &b);
	assert_string_equal(b.text, "1:0::m1 2:0::m2 ");
	store_close(&s);
}

static void a_move_leaves_nothing_at_its_origin(void **state)
{
	struct store *s = with_mail(state, 3);
	struct act a = { .ranges = "2-3", .target = "Trash", .move = true };
	struct box_test b;

	act(s, do_copy, &a);
	assert_string_equal(a.from, "2-3 ");
	assert_string_equal(a.to, "1-2 ");
	box(s, ANN, "INBOX", &b);
	assert_string_equal(b.text, "1:0::m1 ");
	box(s, ANN, "Trash", &b);
	assert_string_equal(b.text, "1:0::m2 2:0::m3 ");
	/* Within one mailbox it gets a new uid. */
	act(s, do_copy,
		&(struct act){
			.mailbox = "Trash", .ranges = "1", .target = "Trash", .move = true });
	box(s, ANN, "Trash", &b);
	assert_string_equal(b.text, "2:0::m3 3:0::m2 ");
	store_close(&s);
}

static void uids_only_grow_also_after_a_restart(void **state)
{
	struct store *s = with_mail(state, 3);
	struct box_test b;

	act(s, do_expunge, &(struct act){ .any = true });
	store_close(&s);
	s = open_store(state);
	must_mail(s, 9, ANN, "next");
	box(s, ANN, "INBOX", &b);
	assert_string_equal(b.text, "4:0::next ");
	store_close(&s);
}

/* --- mailboxes --- */

struct names {
	const char *a, *b;
	char text[400];
};

static int do_create(struct txn *t, void *arg, struct err *err)
{
	struct names *n = arg;
	uint64_t id;

	return mailbox_create(t, 1, str_c(n->a), 0, &id, err);
}

static int do_delete(struct txn *t, void *arg, struct err *err)
{
	struct names *n = arg;

	return mailbox_delete(t, 1, str_c(n->a), err);
}

static int do_rename(struct txn *t, void *arg, struct err *err)
{
	struct names *n = arg;

	return mailbox_rename(t, 1, str_c(n->a), str_c(n->b), err);
}

static int do_subscribe(struct txn *t, void *arg, struct err *err)
{
	struct names *n = arg;

	return mailbox_subscribe(t, 1, str_c(n->a), true, err);
}

static bool list_one(void *arg, const struct mailbox_row *row)
{
	struct names *n = arg;
	size_t at = strlen(n->text);

	snprintf(n->text + at, sizeof n->text - at, "%.*s%s%s ", (int)row->name.n, row->name.p,
		row->subscribed ? "*" : "", row->id ? "" : "?");
	return true;
}

static int ask_list(struct view *v, void *arg, struct err *err)
{
	return mailbox_list(v, 1, STR(""), list_one, arg, err);
}

static enum err_kind named(struct store *s, int (*run)(struct txn *, void *, struct err *),
	const char *a, const char *b)
{
	struct names n = { .a = a, .b = b };
	struct err err;

	return change(s, run, &n, &err) < 0 ? err.kind : ERR_NONE;
}

static void mailboxes_are_made_renamed_and_deleted(void **state)
{
	struct store *s = with_mail(state, 1);
	struct names n = { 0 };
	struct err err;

	assert_int_equal(named(s, do_create, "Work/2026/May", ""), ERR_NONE);
	assert_int_equal(named(s, do_create, "Work", ""), ERR_NONE);
	assert_int_equal(named(s, do_create, "Work", ""), ERR_EXISTS);
	assert_int_equal(named(s, do_create, "inbox", ""), ERR_EXISTS);
	assert_int_equal(named(s, do_create, "a//b", ""), ERR_PERM);
	assert_int_equal(named(s, do_create, "/a", ""), ERR_PERM);
	assert_int_equal(named(s, do_create, "a/", ""), ERR_PERM);
	assert_int_equal(named(s, do_create, "a\tb", ""), ERR_PERM);
	assert_int_equal(named(s, do_create, "\xff", ""), ERR_PERM);
	assert_int_equal(named(s, do_subscribe, "Nowhere", ""), ERR_NONE);
	assert_int_equal(named(s, do_rename, "Work", "Old"), ERR_NONE);
	assert_int_equal(named(s, do_rename, "Old", "Old/Below"), ERR_PERM);
	assert_int_equal(named(s, do_rename, "Work", "x"), ERR_NOTFOUND);
	assert_int_equal(named(s, do_delete, "Sent", ""), ERR_NONE);
	assert_int_equal(named(s, do_delete, "INBOX", ""), ERR_DENIED);
	assert_int_equal(look(s, ask_list, &n, &err), 0);
	assert_string_equal(
		n.text, "Archive* Drafts* INBOX* Junk* Nowhere*? Old Old/2026/May Sent*? Trash* ");
	store_close(&s);
}

static void renaming_the_inbox_moves_its_mail(void **state)
{
	struct store *s = with_mail(state, 2);
	struct box_test b;

	assert_int_equal(named(s, do_rename, "INBOX", "Old mail"), ERR_NONE);
	box(s, ANN, "Old mail", &b);
	assert_string_equal(b.text, "1:0::m1 2:0::m2 ");
	box(s, ANN, "INBOX", &b);
	assert_string_equal(b.text, "");
	store_close(&s);
}

static void a_name_used_again_has_another_uidvalidity(void **state)
{
	struct store *s = with_mail(state, 0);
	struct box_test first, second;

	assert_int_equal(named(s, do_create, "x", ""), ERR_NONE);
	box(s, ANN, "x", &first);
	assert_int_equal(named(s, do_delete, "x", ""), ERR_NONE);
	assert_int_equal(named(s, do_create, "x", ""), ERR_NONE);
	box(s, ANN, "x", &second);
	assert_true(second.m.uidvalidity > first.m.uidvalidity);
	assert_true(second.m.id != first.m.id);
	store_close(&s);
}

static int take_recent(struct txn *t, void *arg, struct err *err)
{
	return mailbox_take_recent(t, 1, 1, arg, err);
}

static void recent_mail_is_recent_once(void **state)
{
	struct store *s = with_mail(state, 3);
	uint32_t from = 0;
	struct err err;

	assert_int_equal(change(s, take_recent, &from, &err), 0);
	assert_int_equal(from, 1);
	must_mail(s, 10, ANN, "new");
	assert_int_equal(change(s, take_recent, &from, &err), 0);
	assert_int_equal(from, 4);
	assert_int_equal(change(s, take_recent, &from, &err), 0);
	assert_int_equal(from, 5);
	store_close(&s);
}

static int count_bodies(struct view *v, void *arg, struct err *err)
{
	return db_int(v->db, arg, "SELECT count(*) FROM body", DB_NOARGS, err) < 0 ? -1 : 0;
}

/* The store tidies by itself once a second; here it is asked to, until nothing is left to do. */
static void expunged_mail_is_purged_when_its_time_is_over(void **state)
{
	const struct store_options o = { .segment_bytes = 1 << 20, .retention = -1 };
	struct store *s = with_mail(state, 4);
	int64_t bodies = 0;
	struct err err;

	act(s, do_copy, &(struct act){ .ranges = "1", .target = "Archive" });
	act(s, do_expunge, &(struct act){ .ranges = "1-3", .any = true });
	assert_int_equal(named(s, do_delete, "Trash", ""), ERR_NONE);
	assert_int_equal(look(s, count_bodies, &bodies, &err), 0);
	assert_int_equal(bodies, 4);
	store_close(&s);
	s = open_store_with(test_dir(state), &o);
	for (int i = 0; i < 5; i++) {
		struct store_job job = { .write = housekeeping_run };

		assert_int_equal(store_run(s, &job, &err), 0);
		store_job_free(&job);
	}
	assert_int_equal(look(s, count_bodies, &bodies, &err), 0);
	assert_int_equal(bodies, 2); /* the fourth, and the first by its copy */
	store_close(&s);
}

static void ranges_must_ascend(void **state)
{
	static const struct {
		const char *ranges;
		bool ok;
	} table[] = { { "", true }, { "1", true }, { "1-3 5 7-9", true }, { "1-3 3", false },
		{ "5 1", false }, { "3-1", false }, { "0", false }, { "4294967295", true } };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct act a = { .ranges = table[i].ranges };

		encode(&a);
		assert_int_equal(ranges_valid(buf_str(&a.encoded)), table[i].ok);
		buf_free(&a.encoded);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(flags_are_set_added_and_removed),
		TEST(entries_changed_since_are_left_alone),
		TEST(what_changes_nothing_leaves_the_modseq),
		TEST(many_flags_go_in_steps),
		TEST(expunge_takes_what_is_marked_and_ghosts_stay_readable),
		TEST(a_view_learns_what_vanished),
		TEST(a_copy_is_independent_of_its_original),
		TEST(a_move_leaves_nothing_at_its_origin),
		TEST(uids_only_grow_also_after_a_restart),
		TEST(mailboxes_are_made_renamed_and_deleted),
		TEST(renaming_the_inbox_moves_its_mail),
		TEST(a_name_used_again_has_another_uidvalidity),
		TEST(recent_mail_is_recent_once),
		TEST(expunged_mail_is_purged_when_its_time_is_over),
		TEST(ranges_must_ascend),
	};

	log_capture(test_quiet, NULL);
	return TEST_ON_BOTH(tests);
}
