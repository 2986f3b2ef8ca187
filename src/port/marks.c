#include "port/marks.h"

bool keyword_valid(struct str word)
{
	if (word.n == 0 || word.n > MARKS_KEYWORD)
		return false;
	for (size_t i = 0; i < word.n; i++) {
		const unsigned char c = (unsigned char)word.p[i];

		if (c <= 32 || c >= 127 || c == '(' || c == ')' || c == '{' || c == '%' ||
			c == '*' || c == '"' || c == '\\' || c == ']')
			return false;
	}
	return true;
}

static bool has_word(struct str list, struct str word)
{
	while (list.n)
		if (str_eqi(str_word(&list, ' '), word))
			return true;
	return false;
}

static void take(struct buf *keywords, struct str word)
{
	if (!keyword_valid(word) || has_word(buf_str(keywords), word) ||
		keywords->n + word.n + 1 > MARKS_KEYWORDS)
		return;
	if (keywords->n)
		buf_addc(keywords, ' ');
	buf_add(keywords, word);
}

void keywords_take(struct buf *keywords, struct str words, char sep)
{
	while (words.n) {
		struct str some = str_word(&words, sep);

		while (some.n)
			take(keywords, str_word(&some, ' '));
	}
}
