/* provide.c - what the roles are given: listeners, the data folder, key files; and who they become.
 */
#include "role/master_private.h"

#include "base/log.h"
#include "conf/conf.h"
#include "net/listen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

static const struct service_row {
	enum service service;
	enum conf_id listen;
	uint32_t who;
	bool tls;
} services[] = {
	{ SERVICE_SMTP, CONF_LISTEN_SMTP, WHO_MX, false },
	{ SERVICE_LMTP, CONF_LISTEN_LMTP, WHO_MX, false },
	{ SERVICE_SUBMISSION, CONF_LISTEN_SUBMISSION, WHO_SUBMIT, false },
	{ SERVICE_SUBMISSIONS, CONF_LISTEN_SUBMISSIONS, WHO_SUBMIT, true },
	{ SERVICE_IMAP, CONF_LISTEN_IMAP, WHO_MAILBOX, false },
	{ SERVICE_IMAPS, CONF_LISTEN_IMAPS, WHO_MAILBOX, true },
	{ SERVICE_POP3, CONF_LISTEN_POP3, WHO_MAILBOX, false },
	{ SERVICE_POP3S, CONF_LISTEN_POP3S, WHO_MAILBOX, true },
};

/* Files that are opened by the master, who may be root, and handed over open. */
static const struct file_row {
	enum conf_id path;
	uint8_t purpose;
	uint32_t who;
	const char *name;
} files[] = {
	{ CONF_TLS_CERTIFICATE, FILE_TLS_CHAIN, WHO_VAULT, "" },
	{ CONF_TLS_KEY, FILE_TLS_KEY, WHO_VAULT, "" },
	{ CONF_SMARTHOST_PASSWORD, FILE_PASSWORD, WHO_VAULT, "smarthost" },
	{ CONF_STORE_PASSWORD, FILE_PASSWORD, WHO_STORE, "store" },
	{ CONF_TLS_CA_FILE, FILE_CA, WHO_COURIER, "" },
	{ CONF_AUTH_CLIENT_CA, FILE_CA, WHO_VAULT, "clients" },
};

/* ---- who a role becomes ---- */

static bool has_sandbox(const struct conf *conf)
{
#ifdef SANDBOX
	return conf_u64(conf, CONF_SANDBOX) != CONF_SANDBOX_OFF;
#else
	return (void)conf, false;
#endif
}

static void identity(const struct master *m, uint32_t who, uint32_t *uid, uint32_t *gid)
{
	const struct passwd *user;
	size_t place = 0;
	char name[64];

	*uid = *gid = 0;
	if (geteuid() != 0 || !has_sandbox(m->conf))
		return;
	while (place < m->kind_count && m->kinds[place].who != who)
		place++;
	snprintf(name, sizeof name, "eilpost-%s", who_name(who));
	user = getpwnam(name);
	*uid = *gid = (uint32_t)(conf_u64(m->conf, CONF_UID_BASE) + place);
	if (user && user->pw_uid != 0) {
		*uid = user->pw_uid;
		*gid = user->pw_gid;
	}
}

void provide_identity(const struct master *m, struct child *c)
{
	identity(m, c->kind->who, &c->uid, &c->gid);
}

/* ---- the data folder ---- */

enum { DEPTH_MAX = 4 }; /* data/blob/ab/file */

/* A file that has another name elsewhere is not ours to give away. */
static int give_one(
	int dir, const char *name, struct stat *st, uint32_t uid, uint32_t gid, struct err *err)
{
	if (fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "look at", name);
	if (S_ISREG(st->st_mode) && st->st_nlink > 1)
		return err_set(err, ERR_PERM,
			"%s in the data folder has a second name (hard link): remove one of them",
			name);
	if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "change the owner of", name);
	return 0;
}

/* Give a folder's contents to the store, after it was used by somebody else. No link is followed.
 */
static int give_contents(int dir, uint32_t uid, uint32_t gid, int depth, struct err *err)
{
	DIR *d = fdopendir(dir);
	const struct dirent *e;
	int r = 0;

	if (!d) {
		close(dir);
		return err_sys(err, "read", "the data folder");
	}
	while (r == 0 && (errno = 0, e = readdir(d))) {
		struct stat st;
		int sub;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
			(depth == 0 && strcmp(e->d_name, "seal") == 0))
			continue;
		r = give_one(dirfd(d), e->d_name, &st, uid, gid, err);
		if (r < 0)
			break;
		if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
			continue;
		sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		r = sub < 0 ? err_sys(err, "open", e->d_name)
			    : give_contents(sub, uid, gid, depth + 1, err);
	}
	if (r == 0 && errno)
		r = err_sys(err, "read", "the data folder");
	closedir(d);
	return r;
}

/* The folder is root's, sticky, and writable for the store's group: so the store makes and removes
 * its own files, and cannot put another file in the place of the vault's `seal`. */
static int own_data(struct master *m, const char *path, struct err *err)
{
	mode_t mode = 01770;
	uint32_t uid, gid;
	struct stat st;
	int copy;

	if (geteuid() != 0)
		return 0;
	identity(m, WHO_STORE, &uid, &gid);
	if (uid == 0)
		mode = 0700; /* and the next start with a sandbox sees that things must be given
				back */
	if (fstat(m->data_fd, &st) < 0)
		return err_sys(err, "look at", path);
	if (st.st_uid == 0 && st.st_gid == gid && (st.st_mode & 07777) == mode)
		return 0;
	copy = openat(m->data_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (copy < 0 || give_contents(copy, uid, gid, 0, err) < 0)
		return copy < 0 ? err_sys(err, "open", path) : -1;
	if (fchown(m->data_fd, 0, gid) < 0 || fchmod(m->data_fd, mode) < 0)
		return err_sys(err, "change the owner of", path);
	return 0;
}

static int check_owner(const struct master *m, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(m->data_fd, &st) < 0)
		return err_sys(err, "look at", path);
	if (geteuid() != 0 && st.st_uid != geteuid())
		return err_set(err, ERR_PERM,
			"%s belongs to uid %u, and this is uid %u: start the server as root or as "
			"that user",
			path, (unsigned)st.st_uid, (unsigned)geteuid());
	return 0;
}

static int make_seal(struct master *m, struct err *err)
{
	int fd, r = -1;
	uint32_t uid, gid;

	identity(m, WHO_VAULT, &uid, &gid);
	fd = openat(m->data_fd, "seal", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, (mode_t)0600);
	if (fd < 0)
		return err_sys(err, "open", "the sealing key (data/seal)");
	if (fchmod(fd, 0600) == 0 && (uid == 0 || fchown(fd, uid, gid) == 0))
		r = 0;
	else
		err_sys(err, "change the owner of", "the sealing key (data/seal)");
	close(fd);
	return r;
}

static int open_data(struct master *m, struct err *err)
{
	const char *path = conf_z(m->conf, CONF_DATA);

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "create the data folder", path);
	m->data_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->data_fd < 0)
		return err_sys(err, "open the data folder", path);
	if (check_owner(m, path, err) < 0 || own_data(m, path, err) < 0)
		return -1;
	return make_seal(m, err);
}

/* ---- listeners ---- */

static bool is_served(const struct master *m, uint32_t who)
{
	for (size_t k = 0; k < m->kind_count; k++)
		if (m->kinds[k].who == who)
			return true;
	return false;
}

/* Who owns the folder of a socket may connect to it, and that folder's group; nobody else. The
 * folder may be somebody's who would like to have another file of theirs given to them. */
static int share_socket(const char *path, struct err *err)
{
	struct buf folder = BUF(200);
	struct str head, name;
	struct stat dir, st;
	int fd = -1, r = -1;

	str_rcut(str_c(path), '/', &head, &name);
	buf_addf(&folder, STR_F "/", STR_A(head));
	buf_addc(&folder, '\0');
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || !buf_ok(&folder) || stat(folder.p, &dir) < 0 || fstat(fd, &st) < 0)
		err_sys(err, "look at", path);
	else if (!S_ISSOCK(st.st_mode))
		err_set(err, ERR_PERM, "%s has been replaced while it was made", path);
	else if (fchownat(fd, "", dir.st_uid, dir.st_gid, AT_EMPTY_PATH) < 0)
		err_sys(err, "change the owner of", path);
	else
		r = 0;
	if (fd >= 0)
		close(fd);
	buf_free(&folder);
	return r;
}

static int open_one(struct master_listener *l, struct err *err)
{
	bool is_unix = str_starts(l->where, STR("unix:"));
	mode_t old = is_unix ? umask(0117) : 0;
	char path[200];
	int r = listen_open(l->where, &l->fd, err);

	if (!is_unix)
		return r;
	umask(old);
	if (r < 0 || geteuid() != 0)
		return r;
	if (!str_z(str_from(l->where, 5), path, sizeof path))
		return err_set(err, ERR_PERM, "the path of a socket is too long");
	return share_socket(path, err);
}

static int open_listeners(struct master *m, struct err *err)
{
	const struct service_row *end = services + sizeof services / sizeof services[0];

	for (const struct service_row *row = services; row != end; row++) {
		size_t count = is_served(m, row->who) ? conf_count(m->conf, row->listen) : 0;

		for (size_t i = 0; i < count; i++) {
			struct master_listener *l = &m->listeners[m->listener_count];

			if (m->listener_count == MASTER_LISTENERS_MAX)
				return err_set(err, ERR_PERM, "too many listeners");
			*l = (struct master_listener){ row->service, row->who, row->tls, -1,
				conf_item(m->conf, row->listen, i) };
			if (open_one(l, err) < 0)
				return -1;
			m->listener_count++;
		}
	}
	return 0;
}

int provide_open(struct master *m, struct err *err)
{
	if (open_data(m, err) < 0)
		return -1;
	return open_listeners(m, err);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void provide_close(struct master *m)
{
	for (size_t i = 0; i < m->listener_count; i++)
		close_one(&m->listeners[i].fd);
	if (m->control_fd >= 0)
		unlink(conf_z(m->conf, CONF_CONTROL));
	close_one(&m->control_fd);
	close_one(&m->data_fd);
}

/* ---- giving ---- */

static int give_settings(struct child *c, struct err *err)
{
	struct buf text = BUF(1 << 20);
	struct str rest;
	int r = 0;

	conf_serialise(c->m->conf, &text);
	rest = buf_str(&text);
	do {
		struct control_settings m = { .number = c->number,
			.settings = str_head(rest, 60000) };

		r = control_settings_send(c->control, &m, err);
		rest = str_from(rest, m.settings.n);
	} while (r == 0 && rest.n);
	if (!buf_ok(&text))
		r = err_set(err, ERR_PERM, "the configuration is too long");
	buf_free(&text);
	return r;
}

/* Something in the data folder; opened anew for each process, so that no two share a position. */
static int give_opened(
	struct child *c, uint8_t purpose, const char *name, int flags, struct err *err)
{
	struct control_file m = { .purpose = purpose };

	m.fd = openat(c->m->data_fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	if (m.fd < 0)
		return err_sys(err, "open in the data folder", name);
	return control_file_send(c->control, &m, err);
}

static int give_path(struct child *c, const struct file_row *row, struct err *err)
{
	struct control_file m = { .purpose = row->purpose, .name = str_c(row->name) };
	const char *path = conf_z(c->m->conf, row->path);

	m.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (m.fd < 0)
		return err_sys(err, conf_name(row->path), path);
	return control_file_send(c->control, &m, err);
}

static int give_files(struct child *c, struct err *err)
{
	if (c->kind->who == WHO_STORE &&
		give_opened(c, FILE_DATA_DIR, ".", O_RDONLY | O_DIRECTORY, err) < 0)
		return -1;
	if (c->kind->who == WHO_VAULT && give_opened(c, FILE_SEAL, "seal", O_RDWR, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		if (files[i].who == c->kind->who && conf_str(c->m->conf, files[i].path).n &&
			give_path(c, &files[i], err) < 0)
			return -1;
	return 0;
}

static int give_listeners(struct child *c, struct err *err)
{
	for (size_t i = 0; i < c->m->listener_count; i++) {
		const struct master_listener *l = &c->m->listeners[i];
		struct control_listener m = { .service = (uint8_t)l->service, .tls = l->tls };

		if (l->who != c->kind->who)
			continue;
		m.fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
		if (m.fd < 0)
			return err_sys(err, "copy a listener for", c->kind->name);
		if (control_listener_send(c->control, &m, err) < 0)
			return -1;
	}
	return 0;
}

int provide_child(struct child *c, struct err *err)
{
	if (give_settings(c, err) < 0 || give_files(c, err) < 0)
		return -1;
	if (c->kind->who == WHO_STORE)
		watch_give(c->m, c);
	return give_listeners(c, err);
}
