#include "pop3/mem.h"

static int mem_start_tls(void *arg, struct conn *c, struct err *err)
{
	return 0;
}

static int mem_login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	struct pop3_mem *m = arg;

	m->busy = m->busy || str_eq(name, STR("busy"));
	m->broken = m->broken || str_eq(name, STR("broken"));
	if (m->busy || m->broken)
		return 0;
	if (!str_eqi(name, m->name) || !secret_eq(password, m->password))
		return err_set(err, ERR_DENIED, "wrong name or password");
	return 0;
}

static int mem_open(void *arg, uint32_t *uidvalidity, struct err *err)
{
	struct pop3_mem *m = arg;

	if (m->busy)
		return err_set(err, ERR_EXISTS, "in use");
	if (m->broken)
		return err_set(err, ERR_TEMP, "broken");
	m->open = true;
	*uidvalidity = 7;
	return 0;
}

static int mem_list(
	void *arg, uint32_t from, struct pop3_message *list, size_t max, size_t *n, struct err *err)
{
	const struct pop3_mem *m = arg;

	*n = 0;
	for (size_t i = from - 1; i < m->count && *n < max; i++)
		if (!m->removed[i])
			list[(*n)++] = (struct pop3_message){ .uid = (uint32_t)i + 1,
				.size = m->messages[i].n };
	return 0;
}

static int mem_read(void *arg, uint32_t uid, uint64_t offset, struct str *piece, struct err *err)
{
	const struct pop3_mem *m = arg;

	if (m->vanished[uid - 1])
		return err_set(err, ERR_NOTFOUND, "expunged");
	*piece = str_from(m->messages[uid - 1], (size_t)offset);
	if (m->chunk > 0)
		*piece = str_head(*piece, m->chunk);
	return 0;
}

static int mem_remove(void *arg, const uint32_t *uids, size_t n, struct err *err)
{
	struct pop3_mem *m = arg;

	if (m->read_only)
		return err_set(err, ERR_FULL, "disk full");
	for (size_t i = 0; i < n; i++)
		m->removed[uids[i] - 1] = true;
	return 0;
}

static void mem_close(void *arg)
{
	struct pop3_mem *m = arg;

	m->open = m->busy = m->broken = false;
}

static bool mem_gone(void *arg)
{
	const struct pop3_mem *m = arg;

	return m->gone;
}

struct pop3_policy pop3_mem_policy(struct pop3_mem *m)
{
	return (struct pop3_policy){ .arg = m,
		.start_tls = mem_start_tls,
		.login = mem_login,
		.open = mem_open,
		.list = mem_list,
		.read = mem_read,
		.remove = mem_remove,
		.close = mem_close,
		.gone = mem_gone };
}
