/* A backup is made by the command (store/backup.h); here it gets a snapshot of the index and the
 * place of the log up to which it goes, and nothing is removed until its channel says so or ends.
 */
#include "role/store_private.h"

#include "store/snapshot.h"

#include <stdlib.h>
#include <string.h>

struct snapshot_wish {
	struct work *work;
	struct snapshot made;
};

static int make_snapshot(void *arg, struct err *err)
{
	struct snapshot_wish *w = arg;

	return store_snapshot(w->work->s->store, &w->made, err);
}

/* After the snapshot, so that the log goes on from it. */
static int answer_mark(struct txn *t, struct store_job *job, struct err *err)
{
	uint64_t segment, offset, sequence;

	store_mark(t, &segment, &offset, &sequence);
	return ANSWER(store_backup_begin, .snapshot = buf_str(&work_of(job)->text),
		.segment = segment, .offset = offset, .sequence = sequence);
}

static void backup_task(void *arg)
{
	struct snapshot_wish w = { .work = arg };
	struct err err = ERR_INIT;

	task_shield(true);
	if (task_offload(make_snapshot, &w, &err) < 0) {
		store_work_fail(w.work, &err);
	} else {
		buf_addz(&w.work->text, w.made.name);
		w.work->job.write = answer_mark;
		store_work_submit(w.work);
	}
	task_shield(false);
}

void store_on_backup_begin(struct peer *p, struct request *req)
{
	struct store_backup_begin_req q;
	struct err err = ERR_INIT;
	struct work *w = NULL;

	if (store_backup_begin_req_get(req->body, &q, &err) == 0)
		w = store_work_new(p, req, &err);
	if (!w) {
		request_fail(&req, &err);
		return;
	}
	w->text = BUF(1000);
	if (!p->holds)
		store_hold(p->s->store);
	p->holds = true;
	if (task_spawn(p->s->role->group, "backup", backup_task, w, &err) < 0)
		store_work_fail(w, &err);
}

void store_backup_over(struct peer *p)
{
	if (p->holds)
		store_unhold(p->s->store);
	p->holds = false;
}

void store_on_backup_end(struct peer *p, struct request *req)
{
	(void)req;
	store_backup_over(p);
	request_free(&req);
}
