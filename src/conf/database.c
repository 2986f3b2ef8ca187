/* Where a PostgreSQL database is:
 * postgres://[USER@]HOST[:PORT][,HOST[:PORT]...][/NAME][?PARAMETERS], as libpq takes it. A password
 * in it is refused (it would be seen in process lists and in what `config show` prints), and so is
 * every parameter that could weaken what the store relies on. */
#include "conf/conf_private.h"

static const struct str schemes[] = { STR_INIT("postgres://"), STR_INIT("postgresql://") };

static const struct str parameters[] = {
	STR_INIT("host"),
	STR_INIT("port"),
	STR_INIT("user"),
	STR_INIT("dbname"),
	STR_INIT("sslmode"),
	STR_INIT("sslrootcert"),
	STR_INIT("sslcert"),
	STR_INIT("sslkey"),
	STR_INIT("channel_binding"),
	STR_INIT("connect_timeout"),
	STR_INIT("tcp_user_timeout"),
};

static bool is_parameter(struct str name)
{
	for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
		if (str_eq(name, parameters[i]))
			return true;
	return false;
}

static bool are_parameters(struct str text)
{
	struct str name, value;

	while (text.n)
		if (!str_cut(str_word(&text, '&'), '=', &name, &value) || !is_parameter(name))
			return false;
	return true;
}

/* Into user@hosts, the name, the parameters. */
static bool split(struct str url, struct str *authority, struct str *path, struct str *query)
{
	size_t i = 0;

	while (i < sizeof schemes / sizeof *schemes && !str_take(&url, schemes[i]))
		i++;
	if (i == sizeof schemes / sizeof *schemes)
		return false;
	*query = STR("");
	*path = STR("");
	(void)str_cut(url, '?', &url, query);
	*authority = url;
	(void)str_cut(url, '/', authority, path);
	return true;
}

bool conf_database_parse(struct str text)
{
	struct str authority, path, query, user, hosts;

	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] <= ' ' || (unsigned char)text.p[i] >= 127)
			return false;
	if (text.n > CONF_DATABASE || !split(text, &authority, &path, &query))
		return false;
	if (str_rcut(authority, '@', &user, &hosts) &&
		(str_find(user, ':') < user.n || str_find(user, '@') < user.n))
		return false;
	return are_parameters(query);
}

struct str conf_database_place(struct str url)
{
	struct str authority = STR(""), path, query, user, hosts, name, value;

	if (!split(url, &authority, &path, &query))
		return STR("");
	if (!str_rcut(authority, '@', &user, &hosts))
		hosts = authority;
	while (hosts.n == 0 && query.n)
		if (str_cut(str_word(&query, '&'), '=', &name, &value) && str_eq(name, STR("host")))
			hosts = value;
	return hosts.n ? hosts : STR("this machine");
}
