#include "role/kind.h"

#include <string.h>

#include "config.h"

const struct role_kind role_kinds[] = {
	{ "store", WHO_STORE, 0, 0, true, role_store_prepare, role_store_main },
	{ "vault", WHO_VAULT, WHO_STORE, 100, false, role_vault_prepare, role_vault_main },
	{ "dns", WHO_DNS, 0, 400, false, role_dns_prepare, role_dns_main },
	{ "courier", WHO_COURIER, WHO_STORE | WHO_VAULT | WHO_DNS, 300, false, role_courier_prepare,
		role_courier_main },
	{ "mx", WHO_MX, WHO_STORE | WHO_VAULT | WHO_DNS, 500, false, role_front_prepare,
		role_front_main },
	{ "submit", WHO_SUBMIT, WHO_STORE | WHO_VAULT, 500, false, role_front_prepare,
		role_front_main },
	{ "mailbox", WHO_MAILBOX, WHO_STORE | WHO_VAULT, 500, false, role_front_prepare,
		role_front_main },
};
const size_t role_kind_count = sizeof role_kinds / sizeof role_kinds[0];

const struct role_kind *role_kind_find(const char *name)
{
	for (size_t i = 0; i < role_kind_count; i++)
		if (strcmp(role_kinds[i].name, name) == 0)
			return &role_kinds[i];
	return NULL;
}
