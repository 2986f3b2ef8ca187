/* fuzz_replay.c - run a fuzz target over its corpus once, without libFuzzer.
 *
 * The argument is a folder; every file in it is fed to the target. A target that
 * crashes or trips a sanitizer fails the test. An empty or missing folder is an error,
 * because a target without a corpus tests nothing.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int replay(const char *dir, const char *name)
{
	static uint8_t data[1 << 20];
	char path[2048];
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (!f)
		return -1;
	n = fread(data, 1, sizeof data, f);
	fclose(f);
	/* Exact-size copy, so that the address sanitizer sees reads past the end. */
	uint8_t *copy = malloc(n ? n : 1);
	if (!copy)
		return -1;
	for (size_t i = 0; i < n; i++)
		copy[i] = data[i];
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	return 0;
}

int main(int argc, char **argv)
{
	DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
	const struct dirent *e;
	size_t ran = 0;

	if (!d) {
		fprintf(stderr, "usage: %s CORPUS-FOLDER (is it there?)\n", argv[0]);
		return 1;
	}
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && replay(argv[1], e->d_name) == 0)
			ran++;
	closedir(d);
	printf("%zu inputs\n", ran);
	return ran ? 0 : 1;
}
