/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* load OBJECT: what each of its programs costs the verifier. Lines "NAME WALKED LOADED" (instructions), then "ms N" for
 * all of them. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	struct bpf_object *object = argc == 2 ? bpf_object__open_file(argv[1], NULL) : NULL;
	struct bpf_program *program;
	double began = now_ms();
	int r = object ? bpf_object__load(object) : -EINVAL;

	if (r) {
		fprintf(stderr, "load: %s: %s\n", argc == 2 ? argv[1] : "usage: load OBJECT", strerror(-r));
		bpf_object__close(object);
		return 1;
	}
	began = now_ms() - began;
	bpf_object__for_each_program(program, object)
	{
		struct bpf_prog_info info = {};
		__u32 size = sizeof(info);

		r |= bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size);
		printf("%s %u %u\n", bpf_program__name(program), info.verified_insns, info.xlated_prog_len / 8);
	}
	printf("ms %.0f\n", began);
	bpf_object__close(object);
	return r ? 1 : 0;
}
