/* conf_private.h - inside the configuration: the table, what was read, how mistakes are told. */
#ifndef CONF_CONF_PRIVATE_H
#define CONF_CONF_PRIVATE_H

#include "base/arena.h"
#include "base/network.h"
#include "conf/conf.h"

#define CONF_SECONDS(n) (UINT64_C(1000000000) * (n))

enum {
	CONF_TEXT = 1 << 20,  /* bytes of all text of a configuration */
	CONF_ARENA = 4 << 20, /* bytes of what is kept of it */
	CONF_NAME = 256,      /* longest full name, with a key */
	CONF_WORDS = 256,     /* words of a statement */
	CONF_DEPTH = 8,       /* blocks in blocks, includes in includes */
	CONF_FILES = 64,      /* included files in all */
	CONF_DATABASE = 700,  /* longest address of a database */
	CONF_MISTAKES = 20    /* then reading stops */
};

struct setting {
	const char *name;
	enum conf_type type;
	const char *fallback, *demo;
	uint64_t least, most;
	const char *choices;
	const char *sentence;
};

extern const struct setting conf_table[CONF_COUNT];

struct place {
	const char *file; /* or "--set"; lives as long as the conf */
	unsigned line, column;
};

/* Where a value comes from; a higher rank replaces a lower one. */
enum rank { RANK_DEFAULT, RANK_FILE, RANK_SET };

struct item {
	struct str key, text; /* text has a NUL after its end */
	uint64_t number;
	struct conf_route *route;
	struct network *network;
	struct conf_dnslist *dnslist;
	struct place place;
	enum rank rank;
};

struct value {
	struct item *items;
	size_t n, cap;
	enum rank rank; /* of the newest item, or of the last `off` */
	struct place place;
};

struct conf {
	enum conf_kind kind;
	struct value values[CONF_COUNT];
	struct arena arena;
};

/* What is under way while a configuration is read. */
struct reader {
	struct conf *c;
	struct buf *report;
	struct err *err; /* the first mistake */
	unsigned mistakes;
	enum rank rank;
	struct str folder; /* for relative paths */
	size_t text_left;  /* of CONF_TEXT */
	unsigned files;
	bool may_include; /* a file, no text: text never opens files */
};

/* Note a mistake; -1 when there are so many that reading should stop. */
int conf_mistake(struct reader *r, const struct place *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

struct word {
	struct str text;
	struct place place;
};

enum token { T_WORD, T_OPEN, T_CLOSE, T_END, T_EOF, T_BAD };

struct lexer {
	struct str text;
	size_t at;
	struct place place;
	struct reader *r;
};

/* The next token and where it starts; T_BAD after a mistake was noted. */
enum token conf_lex(struct lexer *l, struct word *w);

int conf_read_text(struct reader *r, const char *file, struct str text); /* -1: stop */
int conf_read_file(struct reader *r, const char *path);

/* The setting with this full name; *key is what follows the name of a keyed one. NULL: none. */
const struct setting *conf_find(struct str name, struct str *key);
struct str conf_nearest(struct str name); /* empty when nothing is near */

/* Give a setting values (n words). -1: stop reading. */
int conf_assign(struct reader *r, const struct setting *s, struct str key, const struct word *words,
	size_t n, const struct place *at);

/* Fill item->text, number, route from a word. False: *why says what was expected. */
bool conf_value(struct reader *r, const struct setting *s, struct str text, struct item *item,
	struct err *why);
bool conf_is_name(struct str s);
/* dnslist.c. `choices` NULL: no actions. The zone points into text. */
bool conf_dnslist_parse(struct str text, const char *choices, struct conf_dnslist *l);
bool conf_database_parse(struct str text); /* database.c */
bool conf_choice(const char *choices, struct str text, uint64_t *which);
void conf_print_number(struct buf *out, enum conf_type type, uint64_t v); /* "5m", "50MB" */
void conf_expected(struct buf *out, const struct setting *s); /* "a duration from 1s to 1h" */
bool conf_is_list(const struct setting *s);

#endif
