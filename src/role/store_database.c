/* The store in a PostgreSQL database: where it is, and the connections to it, all of which are
 * opened before the sandbox closes. The process has no way to open another one: a connection that
 * is lost ends it, and the next process opens them anew. */
#include "conf/conf.h"
#include "role/secret_file.h"
#include "role/store_private.h"

#include <string.h>

enum { URL_MAX = 700, ENCODED_MAX = URL_MAX + 16 + 3 * SECRET_FILE_MAX };

static struct secret url; /* with the password; ends with a NUL */

const char *store_database_url(void)
{
	struct str z = secret_reveal(&url);

	return z.n ? z.p : NULL;
}

/* As in the parameters of a URL. */
static void add_encoded(struct buf *b, struct str s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (is_alnum(s.p[i])) {
			buf_addc(b, s.p[i]);
			continue;
		}
		buf_addc(b, '%');
		buf_addc(b, hex[c >> 4]);
		buf_addc(b, hex[c & 15]);
	}
}

static int make_url(struct str place, struct str password, struct err *err)
{
	struct buf b = BUF(ENCODED_MAX);
	int r = -1;

	(void)buf_room(&b, ENCODED_MAX); /* so that it never moves and leaves a copy behind */
	buf_add(&b, place);
	if (password.n) {
		buf_addz(&b, str_find(place, '?') < place.n ? "&password=" : "?password=");
		add_encoded(&b, password);
	}
	buf_addc(&b, '\0');
	secret_free(&url);
	if (buf_ok(&b))
		r = secret_copy(&url, buf_str(&b), err);
	else
		err_set(err, ERR_PERM, "the address of the database is too long");
	secret_wipe_buf(&b);
	buf_free(&b);
	return r;
}

/* In a sentence for the operator: who does not answer, or says no, and what libpq says to that. */
static int explain(struct str place, struct err *err)
{
	const struct err why = *err;
	struct str said = str_c(why.msg);
	bool answers = str_search(said, STR("FATAL:")) < said.n;

	if (why.kind != ERR_TEMP)
		return err_wrap(err, "the database at " STR_F, STR_A(place));
	(void)str_take(&said, STR("postgres: "));
	return err_set(err, ERR_CLOSED, "the database at " STR_F " %s: " STR_F, STR_A(place),
		answers ? "lets nobody in" : "does not answer", STR_A(said));
}

int store_database_prepare(struct role *r, struct err *err)
{
	struct str place = conf_str(r->conf, CONF_STORE);
	struct store_options o = { 0 };
	struct secret password;
	int made;

	if (place.n == 0)
		return 0;
	if (secret_file_read(r, "store", &password, err) < 0)
		return err_wrap(err, "store.password");
	made = make_url(place, secret_reveal(&password), err);
	secret_free(&password);
	if (made < 0)
		return -1;
	o.url = store_database_url();
	return store_connect(&o, err) == 0 ? 0 : explain(conf_database_place(place), err);
}
