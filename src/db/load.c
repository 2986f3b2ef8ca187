/* The PostgreSQL engine is a module of its own, so that only a program that uses it loads libpq. */
#include "db/db_private.h"

#include "config.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MODULE "eilpost-postgres.so"

/* Beside the program, which is where a build has it; empty when it is not there. */
static void beside_program(char *path, size_t size)
{
	char exe[1024];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
	struct str folder, name;

	*path = '\0';
	if (n > 0 && str_rcut(str_make(exe, (size_t)n), '/', &folder, &name) &&
		snprintf(path, size, STR_F "/" MODULE, STR_A(folder)) < (int)size &&
		access(path, R_OK) == 0)
		return;
	*path = '\0';
}

const struct db_engine *db_postgres_load(struct err *err)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static const struct db_engine *engine;
	char path[1024];
	void *module;

	pthread_mutex_lock(&lock);
	if (engine)
		goto out;
	beside_program(path, sizeof path);
	module = dlopen(*path ? path : LIBDIR "/" MODULE, RTLD_NOW | RTLD_LOCAL);
	if (module)
		engine = dlsym(module, DB_POSTGRES_SYMBOL);
	if (!engine)
		err_set(err, ERR_NOTFOUND, "the PostgreSQL module does not load: %s", dlerror());
out:
	pthread_mutex_unlock(&lock);
	return engine;
}
