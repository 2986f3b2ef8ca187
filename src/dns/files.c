#include "dns/resolver.h"
#include "dns/resolver_private.h"

#include "config.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int resolver_find_module(char *path, size_t size, struct err *err)
{
	char self[400], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash) {
		*slash = '\0';
		snprintf(path, size, "%s/%s", self, DNS_MODULE_FILE);
		if (access(path, R_OK) == 0)
			return 0;
	}
	snprintf(path, size, "%s/%s", LIBDIR, DNS_MODULE_FILE);
	if (access(path, R_OK) == 0)
		return 0;
	return err_set(err, ERR_PERM, "the resolver %s is missing: install the program anew", path);
}

static void add_line(struct resolver_lines *out, struct str line)
{
	if (out->count >= RESOLVER_ANCHORS_MAX ||
		!str_z(line, out->line[out->count], sizeof out->line[0]))
		return;
	out->p[out->count] = out->line[out->count];
	out->count++;
}

static struct str next_line(FILE *f, char *line, int size)
{
	struct str s;

	if (!fgets(line, size, f))
		return (struct str){ NULL, 0 };
	s = str_c(line);
	s.n = str_find(s, ';') < s.n ? str_find(s, ';') : s.n;
	s.n = str_find(s, '#') < s.n ? str_find(s, '#') : s.n;
	return str_trim(s);
}

int resolver_read_anchors(const char *path, struct resolver_lines *out, struct err *err)
{
	char line[1024];
	FILE *f = fopen(path, "re");
	struct str s;

	out->count = 0;
	if (!f)
		return err_sys(err, "open the trust anchors", path);
	while ((s = next_line(f, line, sizeof line)).p)
		if (s.n > 0)
			add_line(out, s);
	fclose(f);
	if (out->count == 0)
		return err_set(err, ERR_PERM, "%s holds no trust anchor", path);
	return 0;
}

void resolver_read_nameservers(const char *path, struct resolver_lines *out)
{
	char line[1024];
	FILE *f = fopen(path, "re");
	unsigned char ip[16];
	struct str s;

	out->count = 0;
	if (!f)
		return;
	while ((s = next_line(f, line, sizeof line)).p) {
		if (!str_take(&s, STR("nameserver")) || s.n == 0 || !is_wsp(s.p[0]))
			continue;
		s = str_trim(s);
		add_line(out, s);
		if (out->count > 0 && inet_pton(AF_INET, out->p[out->count - 1], ip) != 1 &&
			inet_pton(AF_INET6, out->p[out->count - 1], ip) != 1)
			out->count--;
		if (out->count == RESOLVER_SERVERS_MAX)
			break;
	}
	fclose(f);
}
