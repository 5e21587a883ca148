/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/session.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "base/base.h"

#define RINGS_BYTES_MAX (64u << 20)
#define RING_BYTES_MAX  (4u << 20)
#define RING_BYTES_MIN  (256u << 10)

/* A frame whose verdict has not come. */
struct waiting {
	struct captured event; /* kind 0 = none */
	uint8_t *bytes;
};

struct capture {
	struct capture_options options;
	struct control *control; /* mapped for this alone */
	int ports, rings;        /* maps; an entry of the second lives as long as the descriptor by which it came */
	int lock;
	bool on; /* the programs tell */
	struct perf_buffer *ring;
	struct waiting *waiting; /* by CPU */
	int nr_cpus;
	int word; /* what the callback said */
};

/* ---- what comes out of the rings */

static void keep_frame(struct waiting *waiting, const struct captured *event, const uint8_t *bytes)
{
	waiting->event = *event;
	if (event->bytes)
		memcpy(waiting->bytes, bytes, event->bytes);
}

static int tell(struct capture *capture, const struct captured *event, const uint8_t *bytes)
{
	return capture->options.fn(capture->options.arg, event, bytes);
}

static int tell_waiting(struct capture *capture, struct waiting *waiting, const struct captured *verdict)
{
	struct captured whole = *verdict;

	if (waiting->event.kind != CAPTURED_FRAME || waiting->event.number != verdict->number ||
	    waiting->event.hook != verdict->hook)
		return 0; /* the ring had no room for the frame: it is counted */
	whole.bytes = waiting->event.bytes;
	waiting->event.kind = 0;
	return tell(capture, &whole, waiting->bytes);
}

static void take_event(void *arg, int cpu, void *data, uint32_t size)
{
	struct capture *capture = arg;
	struct captured event;
	const uint8_t *bytes = (const uint8_t *)data + sizeof(event);

	if (size < sizeof(event) || cpu < 0 || cpu >= capture->nr_cpus || capture->word)
		return;
	memcpy(&event, data, sizeof(event));
	if (event.bytes > size - sizeof(event) || event.bytes > capture->options.bytes)
		return;
	if (event.kind == CAPTURED_FRAME)
		keep_frame(&capture->waiting[cpu], &event, bytes);
	else if (event.kind == CAPTURED_VERDICT)
		capture->word = tell_waiting(capture, &capture->waiting[cpu], &event);
	else
		capture->word = tell(capture, &event, bytes);
}

/* The programs count what they could not tell; the kernel's own notices of it would count it twice. */
static void ignore_notice(void *arg, int cpu, unsigned long long nr)
{
	(void)arg;
	(void)cpu;
	(void)nr;
}

/* ---- making it */

/* Ports of a capture that was killed are asked for by nobody. */
static void forget_ports(const struct capture *capture)
{
	uint32_t port;

	while (!bpf_map_get_next_key(capture->ports, NULL, &port))
		if (bpf_map_delete_elem(capture->ports, &port) < 0)
			break;
}

static int set_ports(const struct capture *capture)
{
	const struct capture_port none = {.bytes = capture->options.bytes};

	for (size_t i = 0; i < capture->options.nr_ports; i++)
		if (bpf_map_update_elem(capture->ports, &capture->options.ports[i], &none, BPF_ANY) < 0)
			return -errno;
	return 0;
}

/* By its number: the handles of who looks on (datapath_options.read_only) are for reading. */
static int open_map(const struct datapath *datapath, const char *name)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);
	int fd = -1;

	if (bpf_obj_get_info_by_fd(datapath_map_fd(datapath, name), &info, &length) < 0)
		return -errno;
	fd = bpf_map_get_fd_by_id(info.id);
	return fd < 0 ? -errno : fd;
}

static int open_maps(struct capture *capture, const struct datapath *datapath, char **ret_why)
{
	_cleanup_close_ int control = open_map(datapath, "control");
	void *at;

	capture->ports = open_map(datapath, "capture_ports");
	capture->rings = open_map(datapath, "capture_ring");
	if (control < 0 || capture->ports < 0 || capture->rings < 0)
		return refuse(ret_why, -ENOENT, "cannot open the maps for capturing");
	at = mmap(NULL, sizeof(*capture->control), PROT_READ | PROT_WRITE, MAP_SHARED, control, 0);
	if (at == MAP_FAILED)
		return refuse(ret_why, -errno, "cannot map 'control': %s", strerror(errno));
	capture->control = at;
	return 0;
}

static void set_watch(struct capture *capture, uint16_t watch)
{
	__atomic_store_n(&capture->control->watch, watch, __ATOMIC_SEQ_CST);
}

/* One reader: a second one would take the rings away from the first. The lock ends with the process. */
static int take_lock(struct capture *capture, char **ret_why)
{
	capture->lock = open(capture->options.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (capture->lock < 0)
		return refuse(ret_why, -errno, "cannot open '%s': %s", capture->options.lock, strerror(errno));
	if (flock(capture->lock, LOCK_EX | LOCK_NB))
		return refuse(ret_why, -EBUSY, "another enid capture is at work");
	return 0;
}

static size_t ring_pages(int nr_cpus)
{
	size_t bytes = RING_BYTES_MAX;

	while (bytes > RING_BYTES_MIN && bytes * (size_t)nr_cpus > RINGS_BYTES_MAX)
		bytes /= 2;
	return bytes / (size_t)sysconf(_SC_PAGESIZE);
}

/* One for each CPU that is online. */
static int open_rings(struct capture *capture)
{
	capture->ring = perf_buffer__new(capture->rings, ring_pages(capture->nr_cpus), take_event, ignore_notice,
					 capture, NULL);
	return capture->ring ? 0 : -errno;
}

static int make_rings(struct capture *capture, char **ret_why)
{
	int r;

	capture->nr_cpus = libbpf_num_possible_cpus();
	if (capture->nr_cpus <= 0)
		return -EINVAL;
	capture->waiting = calloc((size_t)capture->nr_cpus, sizeof(*capture->waiting));
	for (int i = 0; i < capture->nr_cpus; i++) {
		if (capture->waiting)
			capture->waiting[i].bytes = malloc(capture->options.bytes);
		if (!capture->waiting || !capture->waiting[i].bytes)
			return -ENOMEM;
	}
	r = open_rings(capture);
	return r ? refuse(ret_why, r, "cannot make the rings: %s", strerror(-r)) : 0;
}

/* A CPU came online: what its packets had to tell until now is counted as lost. */
static int renew_rings(struct capture *capture)
{
	int r = perf_buffer__consume(capture->ring);

	if (capture->word || r < 0)
		return capture->word ? capture->word : r;
	perf_buffer__free(capture->ring);
	r = open_rings(capture);
	set_watch(capture, CAPTURE_PATIENCE);
	return r;
}

int capture_open(const struct datapath *datapath, const struct capture_options *options, struct capture **ret,
		 char **ret_why)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	int r;

	if (!capture)
		return -ENOMEM;
	capture->lock = -1;
	capture->ports = -1;
	capture->rings = -1;
	capture->options = *options;
	r = open_maps(capture, datapath, ret_why);
	if (!r)
		r = take_lock(capture, ret_why);
	if (!r) {
		forget_ports(capture);
		r = make_rings(capture, ret_why);
	}
	if (!r)
		r = set_ports(capture);
	if (r) {
		capture_close(&capture);
	} else {
		capture->on = true;
		set_watch(capture, CAPTURE_PATIENCE);
	}
	*ret = capture;
	return r;
}

/* Packets that are being judged may still tell; who comes then finds nobody who asks. */
static void capture_stop(struct capture *capture)
{
	if (!capture->on)
		return;
	set_watch(capture, 0);
	capture->on = false;
	datapath_grace();
	set_watch(capture, 0); /* a packet on its way may have counted it down at that moment */
}

void capture_close(struct capture **capture)
{
	struct capture *old = *capture;

	if (!old)
		return;
	capture_stop(old);
	if (old->ring)
		forget_ports(old);
	perf_buffer__free(old->ring);
	for (int i = 0; old->waiting && i < old->nr_cpus; i++)
		free(old->waiting[i].bytes);
	free(old->waiting);
	if (old->control)
		munmap(old->control, sizeof(*old->control));
	cleanup_close(&old->ports);
	cleanup_close(&old->rings);
	cleanup_close(&old->lock);
	free(old);
	*capture = NULL;
}

int capture_poll(struct capture *capture, int timeout_ms)
{
	int r = perf_buffer__poll(capture->ring, timeout_ms);

	if (capture->word)
		return capture->word;
	if (r < 0 && r != -EINTR)
		return r;
	if (__atomic_load_n(&capture->control->watch, __ATOMIC_RELAXED) != CAPTURE_PATIENCE)
		return renew_rings(capture);
	return 0;
}

int capture_rest(struct capture *capture)
{
	int r;

	capture_stop(capture);
	r = perf_buffer__consume(capture->ring);
	return capture->word ? capture->word : r < 0 ? r : 0;
}

struct capture_port capture_counts(const struct capture *capture, uint32_t port)
{
	struct capture_port counts = {};

	(void)bpf_map_lookup_elem(capture->ports, &port, &counts);
	return counts;
}
