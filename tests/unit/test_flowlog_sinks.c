/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where FlowLogs objects write (FL-25, FL-26): the tree, folders, collectors; kills, full disks, and their own books.
 * What others read is checked by what others read with: gzip, nfcapd and nfdump, tshark. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "flowlog/netflow.h"
#include "flowlog/sink.h"
#include "lib/dice.h"
#include "lib/folder.h"

#define T0      1760000100u /* 08:55:00, a slot of five minutes */
#define PORT_ID 1u

#define NAMES \
	"version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action " \
	"log-status\n"

struct world {
	struct log_eni eni;
	struct log_eni *by_port[2];
	struct log_want want;
	struct log_spec spec;
	struct log_enis enis;
	struct sinks sinks;
	struct books books;
	struct window table[2];
	int open;
	uint32_t now_s; /* end of the last window */
	char dir[64];
	char text[1 << 16];
	char line[512];
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	strcpy(w->dir, "/tmp/flowlog-sinks-XXXXXX");
	if (!mkdtemp(w->dir) || books_open(NULL, "", 1, &w->books))
		return -1;
	for (int i = 0; i < 2; i++)
		if (window_open(NULL, "", 1, 3000000, &w->table[i]))
			return -1;
	w->eni = (struct log_eni){.id = "eni-1",
				  .account = "111122223333",
				  .what = LOG_ACCEPT | LOG_REJECT,
				  .interval_s = 60,
				  .wants = &w->want,
				  .nr_wants = 1};
	w->want = (struct log_want){0, LOG_ACCEPT | LOG_REJECT};
	w->by_port[1] = &w->eni;
	w->enis = (struct log_enis){.users = 1, .nr = 2, .by_port = w->by_port, .logs = &w->spec, .nr_logs = 1};
	w->sinks = (struct sinks){.dir = w->dir, .instance = 5};
	w->now_s = T0;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	sinks_close(&w->sinks);
	log_spec_done(&w->spec);
	for (int i = 0; i < 2; i++)
		window_close(&w->table[i]);
	books_close(&w->books);
	folder_remove(w->dir);
	free(w);
	return 0;
}

static void make_log(struct world *w, const char *type, const char *destination, const char *format, bool json,
		     bool hive, bool per_hour)
{
	struct vpc vpc = {.id = "vpc-1", .owner = "111122223333"};
	struct vpc_subnet subnet = {.id = "subnet-1", .vpc = &vpc, .az = "eu-west-1a"};
	struct state state = {.vpcs = &vpc, .nr_vpcs = 1, .subnets = &subnet, .nr_subnets = 1};
	struct flow_log log = {.id = "fl-1",
			       .resource = "vpc-1",
			       .traffic = "ALL",
			       .format = format,
			       .destination_type = type,
			       .destination = destination,
			       .interval_s = 60,
			       .active = true,
			       .json = json,
			       .hive = hive,
			       .per_hour = per_hour};

	assert_int_equal(log_spec_make(&state, &log, &w->spec), 0);
}

static void add(struct world *w, uint32_t host, uint64_t packets, bool reject, uint32_t at_s)
{
	struct window_key key = {.src.ip4 = htonl(0x0a000000 + host),
				 .dst.ip4 = htonl(0x0a000119),
				 .sport = htons((uint16_t)host),
				 .dport = htons(443),
				 .proto = 6,
				 .family = 4,
				 .reject = reject,
				 .port = PORT_ID,
				 .start_s = at_s / 60 * 60};
	struct window_count count = {
		.packets = packets, .bytes = 100 * packets, .first_s = at_s, .last_s = at_s, .tcp_flags = 3};

	assert_int_equal(window_add(&w->table[w->open], &key, 60, &count), 0);
}

/* The minute is over. ret: the window that is to be flushed */
static struct window *end_minute(struct world *w, bool partial)
{
	struct window *full = &w->table[w->open];

	assert_int_equal(window_hand_over(full, &w->table[!w->open], w->now_s, w->now_s + 60, partial), 0);
	w->open = !w->open;
	w->now_s += 60;
	return full;
}

/* As the log file's flush does after the sinks. */
static void empty(struct world *w, struct window *window)
{
	(void)w;
	window_reset(window);
}

static int flush(struct world *w, bool partial)
{
	struct window *window = end_minute(w, partial);
	int r = sinks_flush(&w->sinks, window, &w->enis, &w->books);

	empty(w, window);
	return r;
}

static const char *run(struct world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static const char *run(struct world *w, const char *format, ...)
{
	char command[1024];
	va_list args;
	FILE *pipe;
	size_t n;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	n = fread(w->text, 1, sizeof(w->text) - 1, pipe);
	w->text[n] = 0;
	if (pclose(pipe))
		snprintf(w->text, sizeof(w->text), "failed: %s", command);
	return w->text;
}

/* A killed agent: what it knew in memory is gone. */
static void kill_agent(struct world *w)
{
	sinks_close(&w->sinks);
}

/* FL-25: name, header, lines, gzip; not a moment before the five minutes are over. */
static void tree_holds_whole_files_of_five_minutes(void **state)
{
	struct world *w = *state;

	make_log(w, "s3", "arn:aws:s3:::bucket", NULL, false, false, false);
	for (uint32_t minute = 0; minute < 5; minute++) {
		assert_string_equal(run(w, "cd %s; find . -name '*.gz*'", w->dir), "");
		add(w, 7, 2, minute == 3, w->now_s + 10);
		assert_int_equal(flush(w, false), 0);
	}
	assert_string_equal(run(w, "cd %s; find AWSLogs -type f | sed 's/_[0-9a-f]*\\.log/_X.log/'", w->dir),
			    "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2025/10/09/"
			    "111122223333_vpcflowlogs_eu-west-1_fl-1_20251009T0855Z_X.log.gz\n");
	run(w, "cd %s; f=$(find . -name '*.gz'); gzip -t $f && gzip -dc $f", w->dir);
	assert_string_equal(w->text, NAMES
			    "2 111122223333 eni-1 10.0.0.7 10.0.1.25 7 443 6 2 200 1760000110 1760000110 ACCEPT OK\n"
			    "2 111122223333 eni-1 10.0.0.7 10.0.1.25 7 443 6 2 200 1760000170 1760000170 ACCEPT OK\n"
			    "2 111122223333 eni-1 10.0.0.7 10.0.1.25 7 443 6 2 200 1760000230 1760000230 ACCEPT OK\n"
			    "2 111122223333 eni-1 10.0.0.7 10.0.1.25 7 443 6 2 200 1760000290 1760000290 REJECT OK\n"
			    "2 111122223333 eni-1 10.0.0.7 10.0.1.25 7 443 6 2 200 1760000350 1760000350 ACCEPT OK\n");
	/* no time of making in the header of gzip: the same lines are the same file */
	assert_string_equal(run(w, "cd %s; find . -name '*.gz' -exec od -An -tx1 -j4 -N4 {} \\;", w->dir),
			    " 00 00 00 00\n");
}

static void tree_has_hive_names_prefix_and_hours(void **state)
{
	struct world *w = *state;

	make_log(w, "s3", "arn:aws:s3:::bucket/some/prefix/", "${srcaddr} ${x-zone}", false, true, true);
	add(w, 7, 2, false, w->now_s + 10);
	assert_int_equal(flush(w, true), 0); /* the agent stops: what there is is cut */
	assert_string_equal(run(w, "cd %s; find some -type f | sed 's/_[0-9a-f]*\\.log/_X.log/'", w->dir),
			    "some/prefix/AWSLogs/aws-account-id=111122223333/aws-service=vpcflowlogs/"
			    "aws-region=eu-west-1/year=2025/month=10/day=09/hour=08/"
			    "111122223333_vpcflowlogs_eu-west-1_fl-1_20251009T0855Z_X.log.gz\n");
	assert_string_equal(run(w, "cd %s; zcat $(find . -name '*.gz')", w->dir), "srcaddr x-zone\n10.0.0.7 -\n");
}

/* FL-26: each record is in the file of the five minutes in which it ends. */
static void records_lie_in_the_file_of_their_end(void **state)
{
	struct world *w = *state;

	make_log(w, "s3", "arn:aws:s3:::bucket", "${end}", false, false, false);
	w->now_s = T0 + 240;
	add(w, 7, 2, false, T0 + 290);
	add(w, 8, 2, false, T0 + 30); /* late */
	assert_int_equal(flush(w, false), 0);
	add(w, 9, 2, false, T0 + 310);
	assert_int_equal(flush(w, false), 0);
	assert_string_equal(run(w, "cd %s; for f in $(find . -name '*T0855Z*.gz'); do zcat $f; done", w->dir),
			    "end\n1760000130\n1760000390\n");
	assert_string_equal(run(w, "cd %s; for f in $(find . -name '*T0900Z*.part'); do cat $f; done", w->dir),
			    "end\n1760000410\n");
}

/* The folder beside the log file, and what JSON is for. */
static void other_formats_have_a_folder(void **state)
{
	struct world *w = *state;

	make_log(w, "cloud-watch-logs", "", "${srcaddr} ${action}", true, false, false);
	for (int i = 0; i < 2; i++) {
		add(w, 7, 2, false, w->now_s + 10);
		assert_int_equal(flush(w, false), 0);
		kill_agent(w);
	}
	assert_string_equal(
		run(w, "cat %s/fl-1/flow.log", w->dir),
		"{\"srcaddr\":\"10.0.0.7\",\"action\":\"ACCEPT\"}\n{\"srcaddr\":\"10.0.0.7\",\"action\":\"ACCEPT\"}\n");
}

/* FL-02: what the object asks for. */
static void traffic_type_filters_the_lines_of_one_log(void **state)
{
	struct world *w = *state;

	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${action}", false, false, false);
	w->want.what = LOG_REJECT;
	add(w, 7, 2, false, w->now_s + 10);
	add(w, 8, 2, true, w->now_s + 10);
	assert_int_equal(flush(w, true), 0);
	assert_string_equal(run(w, "cd %s; zcat $(find . -name '*.gz')", w->dir), "srcport action\n8 REJECT\n");
}

/* Killed in the middle of a flush, of a commit, and right after a cut: every line once. */
static void killed_flush_is_done_again(void **state)
{
	struct world *w = *state;
	struct window *window;

	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${packets}", false, false, false);
	add(w, 1, 1, false, w->now_s + 1);
	assert_int_equal(flush(w, false), 0);
	add(w, 2, 2, false, w->now_s + 1);
	window = end_minute(w, false);
	run(w, "cd %s; echo torn >> $(find . -name '*.log.part')", w->dir); /* half a flush */
	kill_agent(w);
	assert_int_equal(sinks_flush(&w->sinks, window, &w->enis, &w->books), 0);
	kill_agent(w); /* the log file was not written yet: the window comes again */
	assert_int_equal(sinks_flush(&w->sinks, window, &w->enis, &w->books), 0);
	empty(w, window);
	add(w, 3, 3, false, w->now_s + 1);
	assert_int_equal(flush(w, true), 0);
	assert_string_equal(run(w, "cd %s; zcat $(find . -name '*.gz')", w->dir), "srcport packets\n1 1\n2 2\n3 3\n");
	assert_string_equal(run(w, "cd %s; find . -name '*.log.*part'", w->dir), "");
}

/* Killed after the file had its name, and before anybody noted that: lines of the same five minutes come into another
 * file, and that one stays. */
static void killed_cut_keeps_the_file(void **state)
{
	struct world *w = *state;
	struct sink_part part;

	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${packets}", false, false, false);
	add(w, 1, 1, false, w->now_s + 1);
	assert_int_equal(flush(w, false), 0);
	part = w->sinks.sink[0]->page->part[0];
	assert_int_equal(tree_cut(w->sinks.sink[0], UINT32_MAX), 0);
	w->sinks.sink[0]->page->part[0] = part;
	kill_agent(w);
	add(w, 2, 2, false, w->now_s + 1);
	assert_int_equal(flush(w, true), 0);
	assert_string_equal(run(w, "cd %s; for f in $(find . -name '*.gz'); do zcat $f; done | sort", w->dir),
			    "1 1\n2 2\nsrcport packets\nsrcport packets\n");
}

/* An agent that ends and comes back within a second: both windows are written. */
static void windows_of_one_second_are_two(void **state)
{
	struct world *w = *state;

	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${packets}", false, false, false);
	for (uint32_t i = 1; i < 3; i++) {
		for (int t = 0; t < 2; t++) {
			window_close(&w->table[t]);
			assert_int_equal(window_open(NULL, "", 1, 1000, &w->table[t]), 0);
		}
		add(w, i, i, false, w->now_s + 1);
		assert_int_equal(flush(w, true), 0);
		kill_agent(w);
	}
	assert_string_equal(
		run(w, "cd %s; for f in $(find . -name '*.gz'); do zcat $f; done | grep -v s | sort", w->dir),
		"1 1\n2 2\n");
}

static uint64_t sum_of(struct world *w, const char *files)
{
	return strtoull(
		run(w,
		    "cd %s; for f in $(find . -name '%s'); do case $f in *.gz) zcat $f;; *) cat $f;; esac; done "
		    "| awk '$3 == \"OK\" { n += $2 } END { printf \"%%d\", n }'",
		    w->dir, files),
		NULL, 10);
}

static int count_of(struct world *w, const char *word)
{
	return atoi(
		run(w, "cd %s; for f in $(find . -name '*.gz'); do zcat $f; done | grep -c '%s' || :", w->dir, word));
}

/* E23: the disk is full at this sink. Its books balance, and the loss is declared once it works again. */
static void books_of_a_sink_balance_when_its_disk_fills(void **state)
{
	struct world *w = *state;
	struct rlimit before, small;
	uint64_t pending;

	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${packets} ${log-status}", false, false, false);
	add(w, 1, 5, false, w->now_s + 1);
	assert_int_equal(flush(w, false), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	small = (struct rlimit){.rlim_cur = 30000, .rlim_max = before.rlim_max};
	for (uint32_t i = 0; i < 20000; i++)
		add(w, i, 3, false, w->now_s + 1);
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(flush(w, false), -EFBIG);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_non_null(strstr(w->sinks.problem, "fl-1"));
	pending = w->sinks.sink[0]->page->port[PORT_ID].lost;
	assert_in_range(pending, 1, 59999);
	assert_int_equal(pending % 3, 0);
	add(w, 1, 5, false, w->now_s + 1);
	books_skip(&w->books, PORT_ID, 11); /* and the data path lost some */
	assert_int_equal(flush(w, false), 0);
	assert_int_equal(w->sinks.sink[0]->page->port[PORT_ID].lost, 0);
	assert_int_equal(w->sinks.sink[0]->page->port[PORT_ID].told, 11);
	assert_int_equal(flush(w, true), 0);
	assert_int_equal(sum_of(w, "*.gz") + pending, 2 * 5 + 20000 * 3);
	assert_int_equal(count_of(w, "SKIPDATA"), 1);
	assert_string_equal(w->sinks.problem, "");
}

/* A log that is new owes nothing of what was lost before; one that leaves the state is cut. */
static void log_that_leaves_the_state_is_cut(void **state)
{
	struct world *w = *state;

	books_skip(&w->books, PORT_ID, 9);
	w->books.page->port[PORT_ID].common_then = 9; /* as the log file's flush leaves it */
	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${packets} ${log-status}", false, false, false);
	add(w, 1, 5, false, w->now_s + 1);
	assert_int_equal(flush(w, false), 0);
	w->enis.nr_logs = 0;
	assert_int_equal(flush(w, false), 0);
	assert_string_equal(run(w, "cd %s; zcat $(find . -name '*.gz')", w->dir),
			    "srcport packets log-status\n1 5 OK\n");
	assert_int_equal(w->sinks.nr, 0);
}

/* ... but for what was lost in its first minute it answers. */
static void first_window_declares_its_losses(void **state)
{
	struct world *w = *state;

	books_skip(&w->books, PORT_ID, 9);
	w->books.page->port[PORT_ID].common_then = 5;
	make_log(w, "s3", "arn:aws:s3:::bucket", "${log-status}", false, false, false);
	assert_int_equal(flush(w, false), 0);
	assert_int_equal(w->sinks.sink[0]->page->declared[PORT_ID], 4);
}

/* ---- collectors */

static int udp_socket(uint16_t *ret_port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 8 << 20;

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

static void collector_log(struct world *w, const char *type, uint16_t port)
{
	char to[64];

	snprintf(to, sizeof(to), "udp://127.0.0.1:%u", port);
	make_log(w, type, to, NULL, false, false, false);
	w->now_s =
		(uint32_t)time(NULL) / 300 * 300 - 600; /* NetFlow's times are milliseconds from the sink's birth on */
}

static void add_six(struct world *w, uint32_t host, uint64_t packets)
{
	struct window_key key = {
		.sport = htons((uint16_t)host), .proto = 17, .family = 6, .egress = 1, .port = PORT_ID};
	struct window_count count = {
		.packets = packets, .bytes = 90 * packets, .first_s = w->now_s + 3, .last_s = w->now_s + 30};

	inet_pton(AF_INET6, "2001:db8::1", key.src.bytes);
	inet_pton(AF_INET6, "2001:db8::9", key.dst.bytes);
	key.dst.w[2] = htonl(host);
	key.start_s = w->now_s;
	assert_int_equal(window_add(&w->table[w->open], &key, 60, &count), 0);
}

/* What was received, as a capture file. */
static unsigned int to_pcap(struct world *w, int fd, uint16_t port)
{
	const uint32_t file[] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, 101 /* raw IP */};
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	unsigned int nr = 0;
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/flows.pcap", w->dir);
	out = fopen(path, "w");
	assert_non_null(out);
	fwrite(file, sizeof(file), 1, out);
	while (poll(&wait, 1, 300) > 0) {
		uint8_t packet[2048] = {0x45, 0};
		ssize_t n = recv(fd, packet + 28, sizeof(packet) - 28, 0);
		uint32_t head[] = {w->now_s, nr++, (uint32_t)n + 28, (uint32_t)n + 28};
		uint16_t lengths[] = {htons((uint16_t)(n + 28)), htons((uint16_t)(n + 8)), htons(port)};

		assert_true(n > 0);
		memcpy(packet + 2, &lengths[0], 2);
		packet[8] = 64;
		packet[9] = 17;
		memcpy(packet + 12, "\x7f\0\0\1\x7f\0\0\1", 8);
		memcpy(packet + 20, &lengths[2], 2);
		memcpy(packet + 22, &lengths[2], 2);
		memcpy(packet + 24, &lengths[1], 2);
		fwrite(head, sizeof(head), 1, out);
		fwrite(packet, (size_t)n + 28, 1, out);
	}
	fclose(out);
	return nr;
}

/* Wireshark's decoder: every field by name, nothing malformed, no gap in the sequence. */
static void tshark_decodes(struct world *w, const char *type)
{
	uint16_t port;
	int fd = udp_socket(&port);

	collector_log(w, type, port);
	for (uint32_t i = 0; i < 100; i++)
		add(w, i, 2, i % 4 == 0, w->now_s + 10);
	for (uint32_t i = 0; i < 50; i++)
		add_six(w, i, 3);
	books_skip(&w->books, PORT_ID, 0);
	assert_int_equal(flush(w, false), 0);
	books_skip(&w->books, PORT_ID, 123);
	assert_int_equal(flush(w, false), 0);
	assert_in_range(to_pcap(w, fd, port), 5, 20);
	close(fd);
	run(w,
	    "cd %s; tshark -r flows.pcap -d udp.port==%u,cflow -V > out.txt 2>err.txt; cat out.txt err.txt | "
	    "grep -icE 'malformed|no template found|\\[Expert Info \\((Warn|Error)|Sequence.*unexpected' || :",
	    w->dir, port);
	if (strcmp(w->text, "0\n") != 0)
		fail_msg("%s",
			 run(w,
			     "cd %s; grep -iE 'malformed|no template|unknown|Expert|unexpected' out.txt err.txt | head",
			     w->dir));
	assert_string_equal(run(w, "cd %s; grep -ci 'DropCode: .*ACL drop' out.txt", w->dir), "25\n");
	assert_string_equal(run(w, "cd %s; grep -c 'Octets: 200$' out.txt", w->dir), "100\n");
	assert_string_equal(run(w, "cd %s; grep -c 'Octets: 270$' out.txt", w->dir), "50\n");
	assert_string_equal(run(w, "cd %s; grep -c 'SrcAddr: 10.0.0' out.txt", w->dir), "100\n");
	assert_string_equal(run(w, "cd %s; grep -c 'DstAddr: 2001:db8' out.txt", w->dir), "50\n");
	assert_string_equal(run(w, "cd %s; grep -ic 'dropped.*: 123' out.txt", w->dir), "1\n");
}

static void tshark_decodes_netflow9(void **state)
{
	tshark_decodes(*state, "netflow9");
}

static void tshark_decodes_ipfix(void **state)
{
	tshark_decodes(*state, "ipfix");
}

static pid_t start_nfcapd(struct world *w, uint16_t port)
{
	char number[8], flows[128];
	pid_t child;

	snprintf(number, sizeof(number), "%u", port);
	snprintf(flows, sizeof(flows), "%s/nf", w->dir);
	mkdir(flows, 0755);
	child = fork();
	if (!child) {
		freopen("/dev/null", "w", stdout);
		freopen("/dev/null", "w", stderr);
		execlp("nfcapd", "nfcapd", "-b", "127.0.0.1", "-p", number, "-w", flows, "-t", "3600", "-B", "8000000",
		       NULL);
		_exit(127);
	}
	for (int i = 0; i < 100; i++) {
		usleep(50000);
		if (atoi(run(w, "grep -ic ':%04X ' /proc/net/udp || :", port)))
			return child;
	}
	fail_msg("nfcapd does not listen");
	return child;
}

/* until it has taken all that was sent to it */
static void wait_for_nfcapd(struct world *w, uint16_t port)
{
	for (int i = 0; i < 400; i++) {
		usleep(50000);
		if (!strtoul(run(w, "awk '$2 ~ /:%04X$/ { print substr($5, 10) }' /proc/net/udp", port), NULL, 16))
			return;
	}
	fail_msg("nfcapd does not read");
}

static void clock_text(uint32_t at_s, char text[32])
{
	time_t at = at_s;
	struct tm tm;

	strftime(text, 32, "%F %T", gmtime_r(&at, &tm));
}

/* nfdump: as many records, packets and bytes as there were, with addresses, times, verdicts. */
static void nfdump_counts_equal(struct world *w, const char *type)
{
	const uint32_t nr = 5000;
	struct dice dice = {.at = test_seed("nfdump")};
	uint64_t packets = 0, bytes = 0;
	char first[32], last[32];
	uint16_t port;
	pid_t child;
	int status;

	close(udp_socket(&port));
	collector_log(w, type, port);
	child = start_nfcapd(w, port);
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t n = 1 + dice_below(&dice, 1000000);

		packets += n;
		bytes += (i % 5 ? 100 : 90) * n;
		if (i % 5)
			add(w, i, n, i % 3 == 0, w->now_s + i % 60);
		else
			add_six(w, i, n);
	}
	clock_text(w->now_s + 3, first);
	clock_text(w->now_s + 30, last);
	assert_int_equal(flush(w, false), 0);
	wait_for_nfcapd(w, port);
	kill(child, SIGTERM);
	assert_int_equal(waitpid(child, &status, 0), child);
	run(w,
	    "cd %s; nfdump -R nf -I | awk '/^(Flows|Packets|Bytes|Flows_udp|Flows_tcp|Sequence failures): / { print "
	    "$1, $2, "
	    "$3 }'",
	    w->dir);
	snprintf(w->line, sizeof(w->line),
		 "Flows: %u \nFlows_tcp: %u \nFlows_udp: %u \nPackets: %llu \nBytes: %llu \nSequence failures: 0\n", nr,
		 nr / 5 * 4, nr / 5, (unsigned long long)packets, (unsigned long long)bytes);
	assert_string_equal(w->text, w->line);
	assert_string_equal(run(w, "cd %s; nfdump -R nf -q -o 'fmt:%%sa %%dp' 'src ip 10.0.0.7' | tr -d ' '", w->dir),
			    "10.0.0.7443\n");
	snprintf(w->line, sizeof(w->line), "%s.000 %s.000\n", first, last);
	assert_string_equal(
		run(w, "cd %s; TZ=UTC nfdump -R nf -q -o 'fmt:%%ts %%te' 'proto udp and src port 10'", w->dir),
		w->line);
}

static void nfdump_counts_netflow9(void **state)
{
	nfdump_counts_equal(*state, "netflow9");
}

static void nfdump_counts_ipfix(void **state)
{
	nfdump_counts_equal(*state, "ipfix");
}

/* Nobody listens: what the kernel then refused to send is in the books. */
static void deaf_collector_is_a_problem(void **state)
{
	struct world *w = *state;
	uint16_t port;
	int fd = udp_socket(&port), r;

	collector_log(w, "ipfix", port);
	shutdown(fd, SHUT_RD);
	close(fd);
	for (uint32_t i = 0; i < 200; i++)
		add(w, i, 2, false, w->now_s + 10);
	r = flush(w, false);
	assert_int_equal(r, -ECONNREFUSED);
	assert_non_null(strstr(w->sinks.problem, "refused"));
	assert_int_equal(2 * w->sinks.sink[0]->page->lines + w->sinks.sink[0]->page->port[PORT_ID].lost, 2 * 200);
}

/* A collector without a way to it: all is lost, which the books have, and told to who listens later. */
static void collector_out_of_reach_is_told_later(void **state)
{
	struct world *w = *state;
	const struct sink_page *page;
	uint16_t port;
	int fd = udp_socket(&port);

	make_log(w, "ipfix", "udp://255.255.255.255:4739", NULL, false, false, false); /* no broadcasts */
	for (uint32_t i = 0; i < 200; i++)
		add(w, i, 2, false, w->now_s + 10);
	assert_true(flush(w, false) < 0);
	page = w->sinks.sink[0]->page;
	assert_int_equal(page->port[PORT_ID].lost, 400);
	assert_int_equal(page->lines, 0);
	log_spec_done(&w->spec);
	collector_log(w, "ipfix", port);
	add(w, 1, 2, false, w->now_s + 10);
	assert_int_equal(flush(w, false), 0);
	assert_int_equal(page->port[PORT_ID].lost, 0);
	assert_int_equal(page->declared[PORT_ID], 400);
	assert_in_range(to_pcap(w, fd, port), 1, 3);
	close(fd);
	run(w, "cd %s; tshark -r flows.pcap -d udp.port==%u,cflow -V 2>err.txt | grep -ic 'dropped.*: 400'", w->dir,
	    port);
	assert_string_equal(w->text, "1\n");
}

static size_t a_datagram(struct netflow *netflow, uint32_t at_s)
{
	const struct log_line line = {.port = PORT_ID, .status = LINE_SKIPDATA, .packets = 1};

	netflow_begin(netflow, at_s);
	assert_true(netflow_add(netflow, &line));
	return netflow_end(netflow);
}

/* A collector that came later, or lost them, has the templates a minute after. */
static void templates_come_again_by_number_and_time(void **state)
{
	struct netflow netflow = {.ipfix = true, .untemplated = NETFLOW_TEMPLATES_NR};
	size_t with = a_datagram(&netflow, T0), without = a_datagram(&netflow, T0);

	(void)state;
	assert_true(with > without);
	for (int i = 2; i < NETFLOW_TEMPLATES_NR; i++)
		assert_int_equal(a_datagram(&netflow, T0 + NETFLOW_TEMPLATES_S - 1), without);
	assert_int_equal(a_datagram(&netflow, T0 + NETFLOW_TEMPLATES_S - 1), with);
	assert_int_equal(a_datagram(&netflow, T0 + 2 * NETFLOW_TEMPLATES_S - 2), without);
	assert_int_equal(a_datagram(&netflow, T0 + 2 * NETFLOW_TEMPLATES_S - 1), with);
}

/* A flush that is done again after a kill sends nothing twice. */
static void killed_sender_repeats_nothing(void **state)
{
	struct world *w = *state;
	struct window *window;
	uint16_t port;
	int fd = udp_socket(&port);

	collector_log(w, "ipfix", port);
	for (uint32_t i = 0; i < 100; i++)
		add(w, i, 2, false, w->now_s + 10);
	window = end_minute(w, false);
	assert_int_equal(sinks_flush(&w->sinks, window, &w->enis, &w->books), 0);
	w->sinks.sink[0]->page->done = 0; /* killed before the last step */
	kill_agent(w);
	assert_int_equal(sinks_flush(&w->sinks, window, &w->enis, &w->books), 0);
	assert_int_equal(w->sinks.sink[0]->page->records, 100);
	assert_int_equal(w->sinks.sink[0]->page->lines, 100);
	close(fd);
}

static void refuse_address(const char *text)
{
	struct sockaddr_storage to;
	socklen_t len;

	assert_int_equal(log_collector_address(text, &to, &len), -EINVAL);
}

static void destinations_are_read_strictly(void **state)
{
	struct sockaddr_storage to;
	socklen_t len;
	bool bad;

	(void)state;
	assert_int_equal(log_collector_address("udp://[2001:db8::1]:4739", &to, &len), 0);
	assert_int_equal(to.ss_family, AF_INET6);
	refuse_address("");
	refuse_address("tcp://1.2.3.4:5");
	refuse_address("udp://1.2.3.4");
	refuse_address("udp://1.2.3.4:0");
	refuse_address("udp://1.2.3.4:65536");
	refuse_address("udp://1.2.3.4:5x");
	refuse_address("udp://collector:5");
	refuse_address("udp://[::1:5");
	free(log_prefix("arn:aws:s3:::b/../../etc", &bad));
	assert_true(bad);
	free(log_prefix("arn:aws:s3:::b/x/../y", &bad));
	assert_true(bad);
	free(log_prefix("arn:aws:s3:::b//etc", &bad));
	assert_true(bad);
	free(log_prefix("arn:aws:s3:::b/x..y/z", &bad));
	assert_false(bad);
}

/* ---- names that lead elsewhere */

static int spec_of(const char *id, const char *zone, const char *type, const char *destination, const char *format,
		   struct log_spec *ret)
{
	struct vpc vpc = {.id = "vpc-1", .owner = "111122223333"};
	struct vpc_subnet subnet = {.id = "subnet-1", .vpc = &vpc, .az = zone};
	struct state state = {.vpcs = &vpc, .nr_vpcs = 1, .subnets = &subnet, .nr_subnets = 1};
	struct flow_log log = {.id = id,
			       .resource = "vpc-1",
			       .format = format,
			       .destination_type = type,
			       .destination = destination,
			       .interval_s = 60,
			       .active = true};

	return log_spec_make(&state, &log, ret);
}

/* A zone is text of the state, and its Region a folder's name. */
static void region_is_no_path(void **state)
{
	static const char *const zones[] = {"../../../../../out/x-1", "eu/west-1a", "eu-west.-1", "eu west-1"};
	struct log_spec spec;

	(void)state;
	for (size_t i = 0; i < sizeof(zones) / sizeof(*zones); i++) {
		assert_int_equal(spec_of("fl-1", zones[i], "s3", "arn:aws:s3:::b", NULL, &spec), 0);
		assert_string_equal(spec.region, "unknown");
		log_spec_done(&spec);
	}
	assert_int_equal(spec_of("fl-1", "us-west-2-lax-1a", "s3", "arn:aws:s3:::b", NULL, &spec), 0);
	assert_string_equal(spec.region, "us-west-2");
	log_spec_done(&spec);
}

static void ids_that_name_no_folder_are_refused(void **state)
{
	static const char *const ids[] = {"",         ".",          "..",  ".x",      "flow.log", "flow.log.1.gz",
					  "AWSLogs",  "books.part", "a/b", "fl-1\\x", "fl%1",     "fl:1",
					  "fl-1.part"};
	struct log_spec spec;

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		assert_int_equal(spec_of(ids[i], "eu-west-1a", "", "", "${srcport}", &spec), -EINVAL);
	assert_int_equal(spec_of("Fl_1.x-2", "eu-west-1a", "", "", "${srcport}", &spec), 0);
	log_spec_done(&spec);
	/* what has no folder may be called anything, ... */
	assert_int_equal(spec_of("flow.log", "eu-west-1a", "", "", NULL, &spec), 0);
	log_spec_done(&spec);
	/* ... but files of the tree are named after it */
	assert_int_equal(spec_of("../x", "eu-west-1a", "s3", "arn:aws:s3:::b", NULL, &spec), -EINVAL);
}

/* The longest of everything that is not refused has a name that files can have. */
static void longest_names_are_written(void **state)
{
	struct world *w = *state;
	char destination[700] = "b/", id[ID_MAX], zone[ID_MAX], part[256];

	memset(part, 'p', 255);
	part[255] = 0;
	snprintf(destination, sizeof(destination), "b/%s/%s", part, part);
	memset(id, 'i', sizeof(id) - 1);
	memset(zone, 'z', sizeof(zone) - 1);
	zone[1] = '-';
	zone[ID_MAX - 2] = '1';
	id[ID_MAX - 1] = zone[ID_MAX - 1] = 0;
	assert_int_equal(spec_of(id, zone, "s3", destination, "${srcport}", &w->spec), 0);
	memset(w->spec.account, 'a', sizeof(w->spec.account) - 1);
	w->spec.hive = w->spec.per_hour = true;
	add(w, 1, 5, false, w->now_s + 1);
	assert_int_equal(flush(w, true), 0);
	assert_string_equal(run(w, "cd %s; zcat $(find . -name '*.gz')", w->dir), "srcport\n1\n");
	log_spec_done(&w->spec);
	strcat(destination, "/p");
	assert_int_equal(spec_of(id, zone, "s3", destination, "${srcport}", &w->spec), -EINVAL);
	snprintf(destination, sizeof(destination), "b/%sp", part);
	assert_int_equal(spec_of(id, zone, "s3", destination, "${srcport}", &w->spec), -EINVAL);
}

/* ---- one FlowLogId, another kind */

static void tree_that_becomes_a_folder_is_cut(void **state)
{
	struct world *w = *state;

	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${packets}", false, false, false);
	add(w, 1, 5, false, w->now_s + 1);
	assert_int_equal(flush(w, false), 0);
	log_spec_done(&w->spec);
	make_log(w, "cloud-watch-logs", "", "${srcport} ${packets}", false, false, false);
	for (uint32_t i = 2; i < 4; i++) {
		add(w, i, 7, false, w->now_s + 1);
		assert_int_equal(flush(w, false), 0);
	}
	assert_string_equal(run(w, "cd %s; zcat $(find AWSLogs -name '*.gz'); cat fl-1/flow.log", w->dir),
			    "srcport packets\n1 5\n2 7\n3 7\n");
	log_spec_done(&w->spec);
	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${packets}", false, false, false);
	add(w, 4, 5, false, w->now_s + 1);
	assert_int_equal(flush(w, true), 0);
	assert_string_equal(run(w, "cd %s; find AWSLogs -name '*.gz' | wc -l; cat fl-1/flow.log", w->dir),
			    "2\n2 7\n3 7\n");
	assert_int_equal(w->sinks.sink[0]->page->port[PORT_ID].lost, 0);
}

/* The folder's log is there already: lines are added to it. */
static void folder_of_before_is_kept(void **state)
{
	struct world *w = *state;

	run(w, "cd %s; mkdir fl-1; echo before >fl-1/flow.log", w->dir);
	make_log(w, "cloud-watch-logs", "", "${srcport} ${packets}", false, false, false);
	add(w, 1, 5, false, w->now_s + 1);
	assert_int_equal(flush(w, false), 0);
	assert_string_equal(run(w, "cat %s/fl-1/flow.log", w->dir), "before\n1 5\n");
}

static void tree_that_becomes_a_collector_is_cut(void **state)
{
	struct world *w = *state;
	uint16_t port;
	int fd = udp_socket(&port);

	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${packets}", false, false, false);
	add(w, 1, 5, false, w->now_s + 1);
	assert_int_equal(flush(w, false), 0);
	log_spec_done(&w->spec);
	collector_log(w, "ipfix", port);
	assert_int_equal(flush(w, false), 0);
	assert_string_equal(run(w, "cd %s; zcat $(find AWSLogs -name '*.gz'); find AWSLogs -name '*.part'", w->dir),
			    "srcport packets\n1 5\n");
	close(fd);
}

/* It left the state while no agent ran. */
static void parts_of_a_log_that_left_unseen_are_cut(void **state)
{
	struct world *w = *state;

	make_log(w, "s3", "arn:aws:s3:::bucket/some", "${srcport} ${packets}", false, false, false);
	add(w, 1, 5, false, w->now_s + 1);
	assert_int_equal(flush(w, false), 0);
	kill_agent(w);
	w->sinks = (struct sinks){.dir = w->dir, .instance = 6};
	w->enis.nr_logs = 0;
	assert_int_equal(flush(w, false), 0);
	assert_string_equal(run(w, "cd %s; zcat $(find some -name '*.gz'); find . -name '*.part'", w->dir),
			    "srcport packets\n1 5\n");
}

/* ... and one that stays goes on with its file. */
static void parts_of_a_log_that_stays_are_kept(void **state)
{
	struct world *w = *state;

	make_log(w, "s3", "arn:aws:s3:::bucket", "${srcport} ${packets}", false, false, false);
	for (uint32_t i = 1; i < 3; i++) {
		add(w, i, 5, false, w->now_s + 1);
		assert_int_equal(flush(w, false), 0);
		kill_agent(w);
		w->sinks = (struct sinks){.dir = w->dir, .instance = 5};
	}
	assert_string_equal(run(w, "cd %s; cat $(find . -name '*.log.part'); find . -name '*.gz'", w->dir),
			    "srcport packets\n1 5\n2 5\n");
}

/* As many as there may be come for as many others. */
static void all_logs_at_once_are_replaced(void **state)
{
	struct world *w = *state;
	struct log_spec specs[SINKS_MAX];
	char id[ID_MAX];

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < SINKS_MAX; i++) {
			snprintf(id, sizeof(id), "fl-%d-%zu", round, i);
			assert_int_equal(spec_of(id, "eu-west-1a", "", "", "${srcport}", &specs[i]), 0);
		}
		w->enis.logs = specs;
		w->enis.nr_logs = SINKS_MAX;
		add(w, 1, 5, false, w->now_s + 1);
		assert_int_equal(flush(w, false), 0);
		assert_int_equal(w->sinks.nr, SINKS_MAX);
		for (size_t i = 0; i < SINKS_MAX; i++)
			log_spec_done(&specs[i]);
	}
}

/* ---- a kill between two datagrams */

#define MANY 30000u

static void skip_everywhere(struct world *w, struct log_eni **by_port)
{
	for (uint32_t port = 1; port < MANY; port++) {
		by_port[port] = &w->eni;
		books_skip(&w->books, port, port);
	}
	w->enis.by_port = by_port;
	w->enis.nr = MANY;
}

/* Each loss is declared once: what the killed flush has sent is settled. */
static void killed_sender_declares_once(void **state)
{
	static struct log_eni *by_port[MANY];
	struct pollfd wait = {.events = POLLIN};
	struct world *w = *state;
	uint64_t declared = 0;
	struct window *window;
	pid_t child;
	int status;
	uint16_t port;

	wait.fd = udp_socket(&port);
	collector_log(w, "ipfix", port);
	assert_int_equal(flush(w, false), 0);
	kill_agent(w);
	skip_everywhere(w, by_port);
	add(w, 1, 2, false, w->now_s + 1);
	window = end_minute(w, false);
	child = fork();
	if (!child) {
		(void)sinks_flush(&w->sinks, window, &w->enis, &w->books);
		_exit(0);
	}
	assert_int_equal(poll(&wait, 1, 30000), 1);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status)); /* else it was done before: nothing is tested */
	assert_int_equal(sinks_flush(&w->sinks, window, &w->enis, &w->books), 0);
	empty(w, window);
	assert_int_equal(flush(w, false), 0);
	/* killed while it settled a datagram: the numbers of that one are used up */
	assert_in_range(w->sinks.sink[0]->page->records, MANY, MANY + NETFLOW_RECORDS_MAX);
	for (uint32_t i = 0; i < PORTS_MAX; i++)
		declared += w->sinks.sink[0]->page->declared[i];
	assert_int_equal(declared, (uint64_t)MANY * (MANY - 1) / 2);
	assert_int_equal(w->sinks.sink[0]->page->port[MANY - 1].told, MANY - 1);
	close(wait.fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(tree_holds_whole_files_of_five_minutes),
		TEST(tree_has_hive_names_prefix_and_hours),
		TEST(records_lie_in_the_file_of_their_end),
		TEST(other_formats_have_a_folder),
		TEST(traffic_type_filters_the_lines_of_one_log),
		TEST(killed_flush_is_done_again),
		TEST(killed_cut_keeps_the_file),
		TEST(windows_of_one_second_are_two),
		TEST(books_of_a_sink_balance_when_its_disk_fills),
		TEST(log_that_leaves_the_state_is_cut),
		TEST(first_window_declares_its_losses),
		TEST(tshark_decodes_netflow9),
		TEST(tshark_decodes_ipfix),
		TEST(nfdump_counts_netflow9),
		TEST(nfdump_counts_ipfix),
		TEST(deaf_collector_is_a_problem),
		TEST(collector_out_of_reach_is_told_later),
		TEST(templates_come_again_by_number_and_time),
		TEST(killed_sender_repeats_nothing),
		TEST(destinations_are_read_strictly),
		TEST(region_is_no_path),
		TEST(ids_that_name_no_folder_are_refused),
		TEST(longest_names_are_written),
		TEST(tree_that_becomes_a_folder_is_cut),
		TEST(folder_of_before_is_kept),
		TEST(tree_that_becomes_a_collector_is_cut),
		TEST(parts_of_a_log_that_left_unseen_are_cut),
		TEST(parts_of_a_log_that_stays_are_kept),
		TEST(all_logs_at_once_are_replaced),
		TEST(killed_sender_declares_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
