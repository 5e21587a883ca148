/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* differ states SEED N DIR: the first states of N cases, as DIR/0.json ..., for other tests to ask about. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "case.h"

int oracle_states(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 16) : 0;
	int nr = argc > 2 ? atoi(argv[2]) : 0;

	if (argc != 4 || nr <= 0) {
		fputs("usage: differ states SEED N DIR\n", stderr);
		return 2;
	}
	for (int i = 0; i < nr; i++) {
		struct test_case c;
		char path[512];
		int r = case_make(seed + (uint64_t)i, 1, &c);

		snprintf(path, sizeof(path), "%s/%d.json", argv[3], i);
		if (!r)
			r = json_dump_file(c.state[0], path, JSON_COMPACT);
		case_free(&c);
		if (r) {
			fprintf(stderr, "differ: cannot make %s\n", path);
			return 1;
		}
	}
	return 0;
}
