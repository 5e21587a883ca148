/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A fuzzer without libFuzzer: every file named, and every file in every folder named, is an input. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static int run_file(const char *path)
{
	FILE *file = fopen(path, "r");
	static uint8_t data[1 << 20];
	size_t size;

	if (!file)
		return -errno;
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	(void)LLVMFuzzerTestOneInput(data, size);
	return 0;
}

static int run_folder(const char *path)
{
	struct dirent **names;
	int nr = scandir(path, &names, NULL, alphasort), r = 0;

	for (int i = 0; i < nr; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && !r)
			r = run_file(file);
		free(names[i]);
	}
	if (nr >= 0)
		free(names);
	return nr < 0 ? -errno : r;
}

int main(int argc, char **argv)
{
	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		struct stat status;
		int r = stat(argv[i], &status)    ? -errno
			: S_ISDIR(status.st_mode) ? run_folder(argv[i])
						  : run_file(argv[i]);

		if (r) {
			fprintf(stderr, "%s: %s\n", argv[i], strerror(-r));
			return 1;
		}
	}
	return 0;
}
