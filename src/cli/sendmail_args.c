#include "cli/sendmail_args.h"

#include "ipc/names.h"

#include <string.h>

/* Options with a value that we use or drop; everything in `flags` stands alone. */
static const char with_value[] = "ABCDFLNORVXbdefhoprq";
static const char flags[] = "GIUimntv";

static int add_rcpt(struct sendmail_args *a, const char *text, struct err *err)
{
	if (a->rcpt_count == SENDMAIL_RCPTS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d recipients", SENDMAIL_RCPTS_MAX);
	a->rcpts[a->rcpt_count++] = str_c(text);
	return 0;
}

static int set_mode(struct sendmail_args *a, struct str v, struct err *err)
{
	if (str_eq(v, STR("m")))
		return 0;
	if (str_eq(v, STR("p")))
		a->mode = SENDMAIL_QUEUE;
	else if (str_eq(v, STR("i")))
		a->mode = SENDMAIL_ALIASES;
	else if (str_eq(v, STR("d")) || str_eq(v, STR("D")) || str_eq(v, STR("l")))
		return err_set(err, ERR_PERM,
			"the server is started with `eilpost serve`, not with -b" STR_F, STR_A(v));
	else
		return err_set(err, ERR_PERM, "-b" STR_F " is not supported", STR_A(v));
	return 0;
}

/* RFC 3461 4.1, as -N takes it. */
static int set_notify(struct sendmail_args *a, struct str v, struct err *err)
{
	static const struct {
		struct str word;
		uint8_t bit;
	} words[] = { { STR_INIT("never"), NOTIFY_NEVER }, { STR_INIT("success"), NOTIFY_SUCCESS },
		{ STR_INIT("failure"), NOTIFY_FAILURE }, { STR_INIT("delay"), NOTIFY_DELAY } };
	struct str rest = v;

	while (rest.n) {
		struct str word = str_word(&rest, ',');
		size_t i = 0;

		while (i < sizeof words / sizeof words[0] && !str_eqi(word, words[i].word))
			i++;
		if (i == sizeof words / sizeof words[0])
			return err_set(
				err, ERR_PERM, "-N takes never, or success, failure and delay");
		a->notify |= words[i].bit;
	}
	if ((a->notify & NOTIFY_NEVER) && a->notify != NOTIFY_NEVER)
		return err_set(err, ERR_PERM, "-N never stands alone");
	return 0;
}

static int set_ret(struct sendmail_args *a, struct str v, struct err *err)
{
	if (str_eqi(v, STR("full")))
		a->ret = RET_FULL;
	else if (str_eqi(v, STR("hdrs")))
		a->ret = RET_HDRS;
	else
		return err_set(err, ERR_PERM, "-R takes full or hdrs");
	return 0;
}

static void set_sender(struct sendmail_args *a, struct str v)
{
	a->has_sender = true;
	if (v.n >= 2 && v.p[0] == '<' && v.p[v.n - 1] == '>')
		v = str_make(v.p + 1, v.n - 2);
	a->sender = v;
}

static int set_value(struct sendmail_args *a, char option, struct str v, struct err *err)
{
	switch (option) {
	case 'b':
		return set_mode(a, v, err);
	case 'f':
	case 'r':
		set_sender(a, v);
		return 0;
	case 'F':
		a->full_name = v;
		return 0;
	case 'N':
		return set_notify(a, v, err);
	case 'R':
		return set_ret(a, v, err);
	case 'V':
		a->envid = v;
		return 0;
	case 'o':
		a->ignore_dots |= str_eq(v, STR("i"));
		return 0;
	case 'O':
		a->ignore_dots |=
			str_eqi(v, STR("IgnoreDots")) || str_startsi(v, STR("IgnoreDots=t"));
		return 0;
	case 'q':
		a->mode = SENDMAIL_FLUSH;
		return 0;
	case 'C':
	case 'X':
		return err_set(err, ERR_PERM, "-%c is refused: it names a file", option);
	default:
		return 0;
	}
}

static void set_flag(struct sendmail_args *a, char option)
{
	if (option == 't')
		a->from_head = true;
	else if (option == 'i')
		a->ignore_dots = true;
	else if (option == 'I')
		a->mode = SENDMAIL_ALIASES;
}

/* -o, -q, -e and -A (and -d) have their value attached or none; the others may take the next
 * argument. */
static bool takes_next(char option)
{
	return option != 'q' && option != 'o' && option != 'e' && option != 'A' && option != 'd' &&
		option != 'D';
}

/* One argument that begins with '-': gives how many further arguments it took. */
static int take_option(struct sendmail_args *a, const char *arg, const char *next, struct err *err)
{
	for (const char *p = arg + 1; *p; p++) {
		if (*p == '7' || *p == '8')
			continue;
		if (strchr(flags, *p)) {
			set_flag(a, *p);
			continue;
		}
		if (!strchr(with_value, *p))
			return err_set(err, ERR_PERM, "unknown option -%c", *p);
		if (p[1] || !takes_next(*p))
			return set_value(a, *p, str_c(p + 1), err);
		if (!next)
			return err_set(err, ERR_PERM, "-%c needs a value", *p);
		return set_value(a, *p, str_c(next), err) < 0 ? -1 : 1;
	}
	return 0;
}

int sendmail_args(int argc, char *const *argv, struct sendmail_args *a, struct err *err)
{
	int i = 0, took;

	*a = (struct sendmail_args){ .mode = SENDMAIL_SUBMIT };
	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		took = take_option(a, argv[i], i + 1 < argc ? argv[i + 1] : NULL, err);
		if (took < 0)
			return -1;
		i += took;
	}
	for (; i < argc; i++)
		if (add_rcpt(a, argv[i], err) < 0)
			return -1;
	return 0;
}
