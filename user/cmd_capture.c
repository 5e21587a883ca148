/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* enid capture: packets of ports with the verdict on each, to a pcapng file, as lines, as JSON. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/base.h"
#include "base/json.h"
#include "base/names.h"
#include "capture/describe.h"
#include "capture/dissect.h"
#include "capture/pcapng.h"
#include "capture/session.h"
#include "commands.h"
#include "folders.h"

#define BYTES_DEFAULT 9216 /* a jumbo frame; of what is larger than any wire carries (GSO) the beginning */
#define POLL_MS       200
#define ENOUGH        1

struct asked {
	struct folders folders; /* nothing that is captured is in that of logs */
	const char *file;       /* NULL = lines */
	const char *reason;
	char **names; /* of ports; none = all */
	int nr_names;
	struct filter filter;
	uint64_t count; /* 0 = no end */
	double seconds; /* 0 = no end */
	uint32_t bytes;
	bool json;
};

/* What one port is in the file. */
struct shown {
	bool known, raw;
	uint32_t interface;
};

struct work {
	const struct asked *asked;
	struct view view;
	struct capture *capture;
	struct pcapng pcapng;
	FILE *file;
	struct shown *shown; /* by port number */
	uint32_t *ports;
	size_t nr_ports;
	uint64_t offset_ns; /* from CLOCK_MONOTONIC to 1970 */
	uint64_t told, passed_over;
	uint8_t *copy; /* of a packet with what the kernel kept beside it */
};

static volatile sig_atomic_t ended;

static void end(int number)
{
	(void)number;
	ended = 1;
}

static int usage(FILE *out, int code)
{
	fprintf(out,
		"usage: enid capture [ENI|GATEWAY|DEVICE...] [--write FILE|-] [--json] [--count N] [--seconds S]\n"
		"                [--bytes N] [--verdict accept|reject] [--reason R]\n"
		"                " FILTER_USAGE "\n                [--run-dir D] [--pin-dir D] [--log-dir D]\n\n"
		"Packets of the named ports (all, if none is named) with the verdict on each and what decided.\n\n"
		"  --write FILE  pcapng, the verdicts as comments; - is stdout. Without it: a line each\n"
		"  --json        one object a line\n"
		"  --count N, --seconds S  end after so many packets, after so long\n"
		"  --bytes N     of each packet at most so many (9216)\n\n"
		"Exit: 0 done, 1 nothing is pinned there, no such port, another capture runs, or the file cannot be "
		"written; 2 misuse.\n");
	return code;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- which ports */

static int add_port(struct work *work, uint32_t port)
{
	uint32_t *ports = reallocarray(work->ports, work->nr_ports + 1, sizeof(*ports));

	if (!ports)
		return -ENOMEM;
	work->ports = ports;
	work->ports[work->nr_ports++] = port;
	return 0;
}

static int add_named(struct work *work, const char *name, char **ret_why)
{
	uint32_t ifindex = if_nametoindex(name), port = datapath_port_number(work->view.datapath, name);

	for (uint32_t i = 1; !port && ifindex && i < work->view.nr_ports; i++)
		if (work->view.ports[i].ifindex == ifindex)
			port = i;
	if (!port)
		return refuse(ret_why, -ENOENT,
			      "'%s' is no port of this host: neither an ENI, nor a gateway with an "
			      "uplink, nor a device of one",
			      name);
	return add_port(work, port);
}

static int choose_ports(struct work *work, char **ret_why)
{
	const struct asked *asked = work->asked;
	int r = asked->filter.eni ? add_named(work, asked->filter.eni, ret_why) : 0;

	for (int i = 0; i < asked->nr_names && !r; i++)
		r = add_named(work, asked->names[i], ret_why);
	for (uint32_t i = 1; i < work->view.nr_ports && !r && !asked->nr_names && !asked->filter.eni; i++)
		if (view_port(&work->view, i)->kind == PORT_ENI || view_port(&work->view, i)->kind == PORT_UPLINK)
			r = add_port(work, i);
	if (!r && !work->nr_ports)
		r = refuse(ret_why, -ENOENT, "no port of this host is known");
	return r;
}

/* ---- a packet */

static bool device_is_raw(const char *device)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {};

	memcpy(request.ifr_name, device, strnlen(device, IFNAMSIZ - 1));
	return fd >= 0 && !ioctl(fd, SIOCGIFHWADDR, &request) && request.ifr_hwaddr.sa_family != ARPHRD_ETHER;
}

/* The port's place in the file, made when it is first needed. */
static int show_port(struct work *work, const struct captured *event, struct shown **ret)
{
	struct shown *shown = &work->shown[event->port];
	uint32_t ifindex = work->view.ports[event->port].ifindex;
	char device[IF_NAMESIZE] = "";
	json_t *name;
	int r = 0;

	*ret = shown;
	if (shown->known)
		return 0;
	if (ifindex && !if_indextoname(ifindex, device))
		*device = '\0';
	shown->known = true;
	shown->raw = event->hook == CAPTURED_RAW && !event->outbound ? true : *device && device_is_raw(device);
	if (!work->file)
		return 0;
	name = view_port_name(&work->view, event->port);
	r = pcapng_interface(&work->pcapng, json_string_value(name), device, shown->raw, work->asked->bytes,
			     &shown->interface);
	json_decref(name);
	return r;
}

/* Bytes as they are, or were, on the wire: the tag that the kernel keeps beside the frame is in it again, what goes to
 * a device without Ethernet headers has none, and of what leaves by an uplink the kernel has yet to look up the MACs.
 */
static const uint8_t *as_on_wire(struct work *work, struct captured *event, const uint8_t *bytes, bool raw)
{
	const bool came_raw = event->hook == CAPTURED_RAW && !event->outbound;
	const uint16_t tag[2] = {event->vlan_tpid, htons(event->vlan_tci)};

	if (raw && !came_raw && event->bytes >= ETH_HLEN) {
		event->bytes -= ETH_HLEN;
		event->len -= ETH_HLEN;
		return bytes + ETH_HLEN;
	}
	if (event->bytes < ETH_HLEN)
		return bytes;
	memcpy(work->copy, bytes, event->bytes);
	if (event->outbound && event->action == ACTION_UPLINK)
		memset(work->copy, 0, 2 * ETH_ALEN);
	if (event->vlan_tpid) {
		memmove(work->copy + 2 * ETH_ALEN + sizeof(tag), bytes + 2 * ETH_ALEN, event->bytes - 2 * ETH_ALEN);
		memcpy(work->copy + 2 * ETH_ALEN, tag, sizeof(tag));
		event->bytes += sizeof(tag);
		event->len += sizeof(tag);
	}
	return work->copy;
}

static bool is_asked_for(const struct asked *asked, const struct captured *event, const struct dissected *dissected)
{
	const struct filter *filter = &asked->filter;

	if (filter->verdict && captured_is_rejected(event) != !strcmp(filter->verdict, "REJECT"))
		return false;
	if (asked->reason && strcmp(asked->reason, captured_reason(event)) != 0)
		return false;
	if (!filter->cidr.family && filter->port < 0 && filter->protocol < 0)
		return true;
	return dissected->ends.family && filter_ends(filter, &dissected->ends);
}

static int print(const struct work *work, const struct captured_packet *packet)
{
	char *line;
	int r = 0;

	if (work->asked->json) {
		json_t *row = captured_json(&work->view, packet);

		r = json_print(row, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENSURE_ASCII);
		json_decref(row);
		return r || putchar('\n') < 0 ? -EIO : 0;
	}
	line = captured_line(&work->view, packet);
	if (line)
		r = puts(line) < 0 ? -EIO : 0;
	free(line);
	return line ? r : -ENOMEM;
}

static int save(struct work *work, const struct captured_packet *packet, const uint8_t *bytes, uint32_t interface)
{
	const struct captured *event = packet->event;
	char *comment = captured_comment(&work->view, event);
	const struct pcapng_packet saved = {
		.interface = interface,
		.at_ns = packet->at_ns,
		.bytes = bytes,
		.captured = event->bytes,
		.len = event->len,
		.outbound = event->outbound,
		.hook = event->hook == CAPTURED_XDP ? PCAPNG_XDP : PCAPNG_TC,
		.code = event->code,
		.comment = comment,
	};
	int r = comment ? pcapng_packet(&work->pcapng, &saved) : -ENOMEM;

	free(comment);
	return r;
}

static int take(void *arg, const struct captured *told, const uint8_t *bytes)
{
	struct work *work = arg;
	struct captured event = *told;
	struct dissected dissected;
	const struct captured_packet packet = {&event, &dissected, event.at_ns + work->offset_ns};
	struct shown *shown;
	int r;

	if (event.port >= PORTS_MAX)
		return 0;
	r = show_port(work, &event, &shown);
	if (r)
		return r;
	bytes = as_on_wire(work, &event, bytes, shown->raw);
	dissect(bytes, event.bytes, shown->raw, &dissected);
	if (!is_asked_for(work->asked, &event, &dissected)) {
		work->passed_over++;
		return 0;
	}
	if (work->file)
		r = save(work, &packet, bytes, shown->interface);
	if (!r && (!work->file || work->asked->json))
		r = print(work, &packet);
	if (!r && ++work->told == work->asked->count)
		r = ENOUGH;
	return r;
}

/* ---- from beginning to end */

static int flush(const struct work *work)
{
	return (work->file && fflush(work->file)) || fflush(stdout) ? -errno : 0;
}

static int run(struct work *work)
{
	uint64_t until = work->asked->seconds > 0 ? clock_ns(CLOCK_MONOTONIC) + (uint64_t)(work->asked->seconds * 1e9)
						  : UINT64_MAX;
	int r = 0, rest;

	while (!r && !ended && clock_ns(CLOCK_MONOTONIC) < until) {
		r = capture_poll(work->capture, POLL_MS);
		if (!r)
			r = flush(work);
	}
	if (r)
		return r == ENOUGH ? 0 : r;
	rest = capture_rest(work->capture);
	return rest == ENOUGH ? 0 : rest;
}

static int end_file(struct work *work, uint64_t *ret_lost)
{
	uint64_t now = clock_ns(CLOCK_REALTIME);
	int r = 0;

	*ret_lost = 0;
	for (size_t i = 0; i < work->nr_ports; i++) {
		struct capture_port counts = capture_counts(work->capture, work->ports[i]);
		const struct shown *shown = &work->shown[work->ports[i]];

		*ret_lost += counts.lost;
		if (work->file && shown->known && !r)
			r = pcapng_statistics(&work->pcapng, shown->interface, now, counts.packets + counts.lost,
					      counts.lost);
	}
	return r ? r : flush(work);
}

static int open_file(struct work *work, char **ret_why)
{
	const char *name = work->asked->file;

	if (!name)
		return 0;
	if (!strcmp(name, "-"))
		work->file = fdopen(dup(STDOUT_FILENO), "wb");
	else
		work->file = fopen(name, "wbe");
	if (!work->file)
		return refuse(ret_why, -errno, "cannot write '%s': %s", name, strerror(errno));
	return pcapng_begin(&work->pcapng, work->file);
}

static int begin(struct work *work, char **ret_why)
{
	struct capture_options options = {.bytes = work->asked->bytes, .fn = take, .arg = work};
	_cleanup_free_ char *lock = NULL;
	int r = view_open(work->asked->folders.pins, work->asked->folders.run, &work->view, ret_why);

	if (r)
		return r;
	r = choose_ports(work, ret_why);
	if (r)
		return r;
	work->shown = calloc(PORTS_MAX, sizeof(*work->shown));
	work->copy = malloc(work->asked->bytes + 4u);
	if (!work->shown || !work->copy)
		return -ENOMEM;
	work->offset_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	options.ports = work->ports;
	options.nr_ports = work->nr_ports;
	if (asprintf(&lock, "%s/capture.lock", work->asked->folders.run) < 0)
		return -ENOMEM;
	options.lock = lock;
	r = open_file(work, ret_why);
	return r ? r : capture_open(work->view.datapath, &options, &work->capture, ret_why);
}

static void work_done(struct work *work)
{
	capture_close(&work->capture);
	if (work->view.datapath)
		view_close(&work->view);
	if (work->file)
		fclose(work->file);
	free(work->ports);
	free(work->shown);
	free(work->copy);
}

static int capture(const struct asked *asked)
{
	const struct sigaction action = {.sa_handler = end, .sa_flags = SA_RESTART};
	struct work work = {.asked = asked};
	char *why = NULL;
	uint64_t lost = 0;
	int r, last;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	r = begin(&work, &why);
	if (!r) {
		warnx("%zu port%s", work.nr_ports, plural(work.nr_ports));
		r = run(&work);
		last = end_file(&work, &lost);
		r = r ? r : last;
		warnx("%llu packet%s, %llu not asked for, %llu lost for want of room", (unsigned long long)work.told,
		      plural(work.told), (unsigned long long)work.passed_over, (unsigned long long)lost);
	}
	if (r && !why && asked->file)
		r = refuse(&why, r, "'%s': %s", asked->file, strerror(-r));
	if (r && !ferror(stdout)) /* of that everybody is told at the end */
		warnx("%s", why ? why : strerror(-r));
	free(why);
	work_done(&work);
	return r ? 1 : 0;
}

/* ---- the command line */

static bool read_number(const char *option, const char *word, double least, double most, double *ret)
{
	char *rest;

	errno = 0;
	*ret = strtod(word, &rest);
	if (!errno && rest != word && !*rest && *ret >= least && *ret <= most)
		return true;
	warnx("%s: '%s' is no number from %g to %g", option, word, least, most);
	return false;
}

static bool is_reason(const char *word)
{
	if (is_reason_name(word))
		return true;
	warnx("'%s' is no reason: enid(8) lists them", word);
	return false;
}

/* ret: 0 | a negative number, after a word on stderr where it is not getopt's */
static int read_option(struct asked *asked, int option)
{
	double number;

	switch (option) {
	case 'c':
		if (!read_number("--count", optarg, 1, 1e15, &number))
			return -EINVAL;
		asked->count = (uint64_t)number;
		return 0;
	case 's':
		return read_number("--seconds", optarg, 0.001, 1e9, &asked->seconds) ? 0 : -EINVAL;
	case 'b':
		if (!read_number("--bytes", optarg, 14, CAPTURE_BYTES_MAX, &number))
			return -EINVAL;
		asked->bytes = (uint32_t)number;
		return 0;
	case 'R':
		asked->reason = optarg;
		return is_reason(optarg) ? 0 : -EINVAL;
	case 'w':
		asked->file = optarg;
		return 0;
	case 'j':
		asked->json = true;
		return 0;
	default:
		return folder_option(&asked->folders, option, optarg) ? filter_option(&asked->filter, option, optarg)
								      : 0;
	}
}

/* What can match no packet, or nobody can read. ret: whether that is asked for */
static bool is_misused(const struct asked *asked)
{
	const char *verdict = asked->filter.verdict;

	if (asked->reason && verdict &&
	    !strcmp(verdict, "ACCEPT") != !strcmp(asked->reason, reason_name(REASON_ACCEPTED)))
		warnx("no packet has that --verdict and that --reason");
	else if (asked->file && !strcmp(asked->file, "-") && asked->json)
		warnx("--json and --write - both go to standard output");
	else if (asked->file && !strcmp(asked->file, "-") && isatty(STDOUT_FILENO))
		warnx("--write - does not write to a terminal");
	else
		return false;
	return true;
}

int cmd_capture(int argc, char **argv)
{
	static const struct option options[] = {
		{"write", required_argument, NULL, 'w'},
		{"json", no_argument, NULL, 'j'},
		{"count", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 's'},
		{"bytes", required_argument, NULL, 'b'},
		{"verdict", required_argument, NULL, FILTER_VERDICT},
		{"reason", required_argument, NULL, 'R'},
		FOLDER_OPTIONS,
		{"help", no_argument, NULL, 'h'},
		FILTER_OPTIONS,
		{0},
	};
	struct asked asked = {.folders = FOLDERS_DEFAULT, .bytes = BYTES_DEFAULT, .filter = FILTER_NONE};
	int option;

	while ((option = getopt_long(argc, argv, "w:c:s:jh", options, NULL)) != -1) {
		if (option == 'h')
			return usage(stdout, 0);
		if (read_option(&asked, option))
			return usage(stderr, 2);
	}
	asked.names = argv + optind;
	asked.nr_names = argc - optind;
	if (is_misused(&asked))
		return usage(stderr, 2);
	return capture(&asked);
}
