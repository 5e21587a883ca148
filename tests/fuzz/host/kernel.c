/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libbpf's system calls over the maps and programs of this process: user/ is linked with this and needs no change.
 * What the maps are (types, sizes, the initial values of variables) is read by libbpf itself from the very object that
 * the kernel would load. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host.h"

#define MAPS_MAX   64
#define FD_MAP     (1 << 24)
#define FD_PROGRAM (1 << 25)

uint32_t host_entries_max;

static struct bpf_object *object;                       /* opened once, never loaded */
static const struct bpf_object_skeleton *loaded_by;     /* whose maps these are */
static _Thread_local bool shares_maps;                  /* what this thread loads next is for maps that are there */
static struct host_map maps[MAPS_MAX];
static size_t nr_maps;

/* libbpf's way to return an error */
static int told(int r)
{
	if (r < 0)
		errno = -r;
	return r;
}

static void give_up(const char *what, const char *name)
{
	fprintf(stderr, "host: %s: %s\n", name, what);
	abort();
}

static const struct host_symbol *symbol_find(const struct host_symbol *list, const char *name)
{
	for (; list->name; list++)
		if (!strcmp(list->name, name))
			return list;
	return NULL;
}

struct host_map *host_map_find(const char *name)
{
	for (size_t i = 0; i < nr_maps; i++)
		if (!strcmp(maps[i].name, name))
			return &maps[i];
	return NULL;
}

const struct host_program *host_program_find(const char *name)
{
	for (const struct host_program *program = host_programs; program->name; program++)
		if (!strcmp(program->name, name))
			return program;
	return NULL;
}

static struct host_map *map_of_fd(int fd)
{
	return fd >= FD_MAP && fd < FD_MAP + (int)nr_maps ? &maps[fd - FD_MAP] : NULL;
}

/* ---- the skeleton */

int bpf_object__open_skeleton(struct bpf_object_skeleton *s, const struct bpf_object_open_opts *unused)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = s->name);
	struct bpf_program *program;

	(void)unused;
	if (!object)
		object = bpf_object__open_mem(s->data, s->data_sz, &opts);
	if (!object)
		return told(-errno);
	*s->obj = object;
	for (int i = 0; i < s->map_cnt; i++) {
		struct bpf_map_skeleton *map = (void *)((char *)s->maps + (size_t)i * s->map_skel_sz);
		size_t size;

		*map->map = bpf_object__find_map_by_name(object, map->name);
		if (map->mmaped)
			*map->mmaped = (void *)(uintptr_t)bpf_map__initial_value(*map->map, &size);
	}
	for (int i = 0; i < s->prog_cnt; i++) {
		struct bpf_prog_skeleton *prog = (void *)((char *)s->progs + (size_t)i * s->prog_skel_sz);

		*prog->prog = bpf_object__find_program_by_name(object, prog->name);
	}
	bpf_object__for_each_program(program, object)
		bpf_program__set_autoload(program, true);
	return 0;
}

static void unload(void)
{
	while (nr_maps)
		host_map_done(&maps[--nr_maps]);
	host_grace();
}

/* A variable of the programs, from the section that the kernel would give them as a map. Constants are made writable. */
static void set_variable(const struct bpf_map *map, const char *name, const struct btf_var_secinfo *place)
{
	const struct host_symbol *symbol = symbol_find(host_data_symbols, name);
	size_t size, page = (size_t)sysconf(_SC_PAGESIZE);
	const uint8_t *values = bpf_map__initial_value((struct bpf_map *)(uintptr_t)map, &size);
	uintptr_t from;

	if (!symbol)
		return; /* a table of constants: compiled in */
	if (symbol->size != place->size || place->offset + place->size > size)
		give_up("another size for the host", name);
	from = (uintptr_t)symbol->at & ~(page - 1);
	if (mprotect((void *)from, (uintptr_t)symbol->at + symbol->size - from, PROT_READ | PROT_WRITE) < 0)
		give_up("cannot be written", name);
	memcpy(symbol->at, values + place->offset, place->size);
}

static void set_variables(const struct bpf_map *map)
{
	const struct btf *btf = bpf_object__btf(object);
	const char *section = strchr(bpf_map__name(map), '.');
	int id = btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;
	const struct btf_var_secinfo *place;

	if (!type)
		return;
	place = btf_var_secinfos(type);
	for (int i = 0; i < btf_vlen(type); i++)
		set_variable(map, btf__name_by_offset(btf, btf__type_by_id(btf, place[i].type)->name_off), &place[i]);
}

/* ".data.NAME" is the variable NAME, as a map of one entry; other sections are nobody's map. */
static void *variable_of(const struct bpf_map *map)
{
	const char *section = strstr(bpf_map__name(map), ".data.");
	const struct host_symbol *symbol = section ? symbol_find(host_data_symbols, section + strlen(".data.")) : NULL;

	return symbol ? symbol->at : NULL;
}

static void load_map(const struct bpf_map *map)
{
	const struct host_symbol *symbol = symbol_find(host_map_symbols, bpf_map__name(map));
	struct host_map *loaded = &maps[nr_maps++];

	if (nr_maps > MAPS_MAX)
		give_up("too many maps", bpf_map__name(map));
	snprintf(loaded->name, sizeof(loaded->name), "%.31s", bpf_map__name(map));
	loaded->type = bpf_map__type(map);
	loaded->key_size = bpf_map__key_size(map);
	loaded->value_size = bpf_map__value_size(map);
	loaded->max_entries = bpf_map__max_entries(map);
	/* what a hash of the programs indexes is used from end to end, and costs only what is touched */
	if (host_entries_max && loaded->max_entries > host_entries_max && strcmp(loaded->name, "nat_uses") != 0)
		loaded->max_entries = host_entries_max;
	if (bpf_map__is_internal(map))
		set_variables(map);
	else if (!symbol)
		give_up("a map that lists.awk did not find", loaded->name);
	else
		*(struct host_map **)symbol->at = loaded;
	host_map_init(loaded, bpf_map__is_internal(map) ? variable_of(map) : NULL);
}

int bpf_map__reuse_fd(struct bpf_map *map, int fd)
{
	(void)map;
	shares_maps = fd >= FD_MAP;
	return shares_maps ? 0 : told(-EBADF);
}

int bpf_object__load_skeleton(struct bpf_object_skeleton *s)
{
	const struct bpf_map *map;

	if (shares_maps) {
		shares_maps = false;
		return 0;
	}
	unload();
	loaded_by = s;
	bpf_object__for_each_map(map, object)
		load_map(map);
	return 0;
}

void bpf_object__destroy_skeleton(struct bpf_object_skeleton *s)
{
	if (!s)
		return;
	if (s == loaded_by) {
		unload();
		loaded_by = NULL;
	}
	free(s->maps);
	free(s->progs);
	free(s);
}

int bpf_map__fd(const struct bpf_map *map)
{
	const struct host_map *loaded = host_map_find(bpf_map__name(map));

	return loaded ? FD_MAP + (int)(loaded - maps) : -ENOENT;
}

int bpf_program__fd(const struct bpf_program *program)
{
	const struct host_program *found = host_program_find(bpf_program__name(program));

	return found ? FD_PROGRAM + (int)(found - host_programs) : -ENOENT;
}

/* ---- maps from user space */

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	struct host_map *map = map_of_fd(fd);
	const void *found = map ? host_map_lookup(map, key) : NULL;

	if (!found)
		return told(map ? -ENOENT : -EBADF);
	memcpy(value, found, map->value_size);
	return 0;
}

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	struct host_map *map = map_of_fd(fd);
	int r = !map ? -EBADF : key ? host_map_update(map, key, value, flags) : host_map_push(map, value, flags);

	host_grace();
	return told(r);
}

int bpf_map_update_batch(int fd, const void *keys, const void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	struct host_map *map = map_of_fd(fd);
	__u32 nr = *count;
	int r = 0;

	(void)opts;
	for (*count = 0; *count < nr && !r; *count += !r)
		r = bpf_map_update_elem(fd, (const char *)keys + (size_t)*count * map->key_size,
					(const char *)values + (size_t)*count * map->value_size, BPF_ANY);
	return r;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	struct host_map *map = map_of_fd(fd);
	int r = map ? host_map_delete(map, key) : -EBADF;

	host_grace();
	return told(r);
}

int bpf_map_get_next_key(int fd, const void *key, void *next_key)
{
	struct host_map *map = map_of_fd(fd);
	__u32 index = 0;

	if (!map)
		return told(-EBADF);
	if (map->chains)
		return told(host_map_next(map, key, next_key));
	if (key)
		memcpy(&index, key, sizeof(index));
	index += key != NULL;
	memcpy(next_key, &index, sizeof(index));
	return told(index < map->max_entries ? 0 : -ENOENT);
}

int bpf_obj_get_info_by_fd(int fd, void *info, __u32 *info_len)
{
	const struct host_map *map = map_of_fd(fd);
	struct bpf_map_info *told_info = info;

	if (!map || *info_len < sizeof(*told_info))
		return told(-EBADF);
	memset(told_info, 0, sizeof(*told_info));
	told_info->type = map->type;
	told_info->key_size = map->key_size;
	told_info->value_size = map->value_size;
	told_info->max_entries = map->max_entries;
	return 0;
}

/* user/ is compiled with these three names for the C library's (rules.mk): shared memory is the map's own, and a grace
 * period is over at once. */
long host_syscall(long number, ...);
void *host_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int host_fcntl(int fd, int command, ...);
int host_munmap(void *at, size_t size);

/* Only to have a descriptor twice. */
int host_fcntl(int fd, int command, ...)
{
	va_list more;
	int r;

	if (fd >= FD_MAP)
		return fd;
	va_start(more, command);
	r = fcntl(fd, command, va_arg(more, int));
	va_end(more);
	return r;
}

void *host_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	const struct host_map *map = map_of_fd(fd);

	return map ? map->values : mmap(at, size, prot, flags, fd, offset);
}

long host_syscall(long number, ...)
{
	if (number != SYS_membarrier)
		give_up("a system call that kernel.c does not know", "syscall");
	return 0;
}

int host_munmap(void *at, size_t size)
{
	for (size_t i = 0; i < nr_maps; i++)
		if (maps[i].values == at)
			return 0;
	return munmap(at, size);
}

/* ---- test runs: what the kernel sets for one */

#define LOOPBACK 1

int bpf_prog_test_run_opts(int fd, struct bpf_test_run_opts *opts)
{
	struct host_run run = {.program = &host_programs[fd - FD_PROGRAM], .frame = opts->data_in};

	if (opts->data_size_in < 14)
		return told(-EINVAL);
	run.length = run.linear = opts->data_size_in;
	run.ifindex = run.ingress_ifindex = LOOPBACK;
	host_run(&run);
	opts->retval = (__u32)run.verdict;
	if (opts->data_out) {
		if (opts->data_size_out < run.nr_out)
			return told(-ENOSPC);
		memcpy(opts->data_out, run.out, run.nr_out);
		opts->data_size_out = run.nr_out;
	}
	return 0;
}
