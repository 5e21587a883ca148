/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* load OBJECT: what each of its programs costs the verifier. Lines "NAME WALKED LOADED MS": instructions that it walks,
 * instructions as loaded, milliseconds of CPU that loading it alone takes, with its maps. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The object with this program alone; ret: NULL = it has no such number. */
static struct bpf_program *leave_only(struct bpf_object *object, int number)
{
	struct bpf_program *program, *only = NULL;

	bpf_object__for_each_program(program, object)
	{
		bpf_program__set_autoload(program, !number);
		if (!number--)
			only = program;
	}
	return only;
}

/* ret: 1 = told | 0 = there is no such number | -errno */
static int tell(const char *path, int number)
{
	struct bpf_object *object = bpf_object__open_file(path, NULL);
	struct bpf_prog_info info = {};
	struct bpf_program *program;
	__u32 size = sizeof(info);
	double began;
	int r;

	if (!object)
		return -errno;
	program = leave_only(object, number);
	began = cpu_ms();
	r = program ? bpf_object__load(object) : 0;
	if (program && !r)
		r = bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size);
	if (program && !r)
		printf("%s %u %u %.0f\n", bpf_program__name(program), info.verified_insns, info.xlated_prog_len / 8,
		       cpu_ms() - began);
	bpf_object__close(object);
	return r ? r : !!program;
}

int main(int argc, char **argv)
{
	int r = argc == 2 ? 1 : -EINVAL;

	for (int number = 0; r > 0; number++)
		r = tell(argv[1], number);
	if (r)
		fprintf(stderr, "load: %s: %s\n", argc == 2 ? argv[1] : "usage: load OBJECT", strerror(-r));
	return r ? 1 : 0;
}
