/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Exact books over an hour (E23, E26): random flows, floods of rejects, losses of the data path, agents that end or are
 * killed, a disk that fills; at every reader and ENI packets seen = packets in records + declared + to be declared.
 * Virtual time, plain arrays for a kernel. ENID_ROUNDS=N: N hours with other seeds (make books-long). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flowlog/collector.h"
#include "flowlog/sink.h"
#include "flowlog/source.h"
#include "lib/folder.h"
#include "lib/world.h"

#define NS      1000000000ull
#define T0      1760000100ull
#define BOOT_S  1759990000ull
#define ENIS    4
#define FLOWS   2048u
#define TALLIES 4096
#define HOUR_S  3600

struct seen {
	uint64_t packets, bytes;
};

/* What a kernel would hold: shared with agents, which are processes of their own here. */
struct kernel {
	struct control control;
	struct flow_record records[FLOWS];
	struct port_stats stats[PORTS_MAX];
	struct tally_key keys[TALLIES];
	struct tally tallies[TALLIES];
	uint32_t nr_tallies;
	uint32_t expired[FLOWS];
	uint32_t nr_expired;
	struct seen seen[ENIS], lost[ENIS]; /* lost: of the packets, by the data path */
	uint64_t now_s;
	uint32_t kills; /* while lines were written */
	struct dice dice;
};

struct hour {
	struct kernel *kernel;
	struct vpc vpc;
	struct vpc_subnet subnet;
	struct eni enis[ENIS];
	struct eni_address addresses[ENIS];
	struct flow_log logs[2];
	struct state state;
	struct image_port ports[ENIS];
	struct image image;
	struct collector *collector;
	char dir[64];
	char ids[ENIS][16];
};

static int give_tallies(void *self, tally_fn each, void *arg)
{
	struct kernel *kernel = self;

	for (; kernel->nr_tallies; kernel->nr_tallies--)
		each(arg, &kernel->keys[kernel->nr_tallies - 1], &kernel->tallies[kernel->nr_tallies - 1]);
	return 0;
}

static int no_events(void *self, tally_fn spilled, void *arg)
{
	(void)self;
	(void)spilled;
	(void)arg;
	return 0;
}

static int sweep(void *self, uint64_t now_ns, record_fn last, void *arg)
{
	struct kernel *kernel = self;

	(void)now_ns;
	for (; kernel->nr_expired; kernel->nr_expired--) {
		uint32_t index = kernel->expired[kernel->nr_expired - 1];
		struct flow_record *record = &kernel->records[index];

		last(arg, index, record);
		record->half[0].gs = GS_MAKE(GS_GENERATION(record->half[0].gs), RECORD_FREE);
	}
	return 0;
}

static uint64_t none_lost(void *self)
{
	(void)self;
	return 0;
}

static int no_fd(void *self)
{
	(void)self;
	return -1;
}

static void nothing(void *self)
{
	(void)self;
}

static uint32_t number(const void *arg, const char *id)
{
	(void)arg;
	return (uint32_t)atoi(id + 4);
}

static uint64_t mono(uint64_t wall_s)
{
	return (wall_s - BOOT_S) * NS;
}

static void start(struct hour *hour)
{
	const struct source source = {.control = &hour->kernel->control,
				      .records = hour->kernel->records,
				      .stats = hour->kernel->stats,
				      .flows_max = FLOWS,
				      .self = hour->kernel,
				      .tallies = give_tallies,
				      .events = no_events,
				      .sweep = sweep,
				      .lost_events = none_lost,
				      .fd = no_fd,
				      .close = nothing};
	const struct collector_options options = {.log_dir = hour->dir};

	assert_int_equal(collector_start(&source, number, NULL, &hour->state, &hour->image, &options, &hour->collector),
			 0);
}

static void make_state(struct hour *hour)
{
	hour->vpc = (struct vpc){.id = "vpc-1", .owner = "111122223333"};
	hour->subnet = (struct vpc_subnet){.id = "subnet-1", .vpc = &hour->vpc, .az = "eu-west-1a"};
	for (int i = 0; i < ENIS; i++) {
		sprintf(hour->ids[i], "eni-%d", i + 1);
		hour->addresses[i] =
			(struct eni_address){.addr.ip4 = htonl(0x0a000001 + (uint32_t)i), .family = 4, .prefixlen = 32};
		hour->enis[i] = (struct eni){.id = hour->ids[i],
					     .owner = "111122223333",
					     .vpc = &hour->vpc,
					     .subnet = &hour->subnet,
					     .addresses = &hour->addresses[i],
					     .nr_addresses = 1};
		hour->ports[i] = (struct image_port){.id = hour->ids[i],
						     .kind = PORT_ENI,
						     .zone = 1,
						     .eni = &hour->enis[i],
						     .primary4 = hour->addresses[i].addr.ip4};
	}
	hour->logs[0] = (struct flow_log){.id = "fl-tree",
					  .resource = "vpc-1",
					  .traffic = "ALL",
					  .destination_type = "s3",
					  .destination = "arn:aws:s3:::b",
					  .format = "${interface-id} ${packets} ${bytes} ${log-status} ${x-flow-id}",
					  .interval_s = 60,
					  .active = true};
	hour->logs[1] = hour->logs[0];
	hour->logs[1].id = "fl-folder";
	hour->logs[1].destination_type = "cloud-watch-logs";
	hour->state = (struct state){.vpcs = &hour->vpc,
				     .nr_vpcs = 1,
				     .subnets = &hour->subnet,
				     .nr_subnets = 1,
				     .enis = hour->enis,
				     .nr_enis = ENIS,
				     .flow_logs = hour->logs,
				     .nr_flow_logs = 2};
	hour->image = (struct image){.ports = hour->ports, .nr_ports = ENIS};
}

/* ---- load */

static void see(struct kernel *kernel, uint32_t eni, uint64_t packets, uint64_t bytes)
{
	kernel->seen[eni].packets += packets;
	kernel->seen[eni].bytes += bytes;
}

static void open_flow(struct kernel *kernel, uint32_t index)
{
	struct flow_record *record = &kernel->records[index];
	uint32_t gs = GS_MAKE(GS_GENERATION(record->half[0].gs) + 1, RECORD_LIVE);
	uint32_t from = dice_below(&kernel->dice, ENIS), to = (from + 1 + dice_below(&kernel->dice, ENIS - 1)) % ENIS;
	struct tuple tuple = {.saddr.ip4 = htonl(0x0a000001 + from),
			      .daddr.ip4 = htonl(0x0a000001 + to),
			      .sport = (__be16)dice_below(&kernel->dice, 500),
			      .dport = htons(443),
			      .proto = 6,
			      .family = 4};

	memset(record, 0, sizeof(*record));
	for (int side = 0; side < 2; side++) {
		record->half[side].tuple = tuple;
		record->half[side].in = 1 + (side ? to : from);
		record->half[side].exit = 1 + (side ? from : to);
		record->half[side].gs = gs;
	}
	record->half[1].tuple.saddr = tuple.daddr;
	record->half[1].tuple.daddr = tuple.saddr;
	record->half[1].tuple.sport = tuple.dport;
	record->half[1].tuple.dport = tuple.sport;
	if (kernel->control.flows_fresh <= index)
		kernel->control.flows_fresh = index + 1;
}

static void carry(struct kernel *kernel, uint32_t index)
{
	struct flow_half *half = &kernel->records[index].half[dice_below(&kernel->dice, 2)];
	uint64_t packets = 1 + dice_below(&kernel->dice, 40), bytes = packets * (40 + dice_below(&kernel->dice, 1400));

	if (dice_hit(&kernel->dice, 50)) {
		half->own += OWN_MAKE(packets, bytes);
	} else {
		half->others.packets += packets;
		half->others.bytes += bytes;
	}
	half->last_ns = mono(kernel->now_s);
	see(kernel, half->in - 1, packets, bytes);
	see(kernel, half->exit - 1, packets, bytes);
}

static void refuse(struct kernel *kernel, uint32_t eni, uint32_t nr)
{
	struct tally_key *key = &kernel->keys[kernel->nr_tallies];

	see(kernel, eni, nr, nr * 40ull);
	if (kernel->nr_tallies == TALLIES) { /* the data path has no room, and declares it */
		kernel->stats[eni + 1].skipped_rejects += nr;
		kernel->lost[eni].packets += nr;
		kernel->lost[eni].bytes += nr * 40ull;
		return;
	}
	*key = (struct tally_key){.tuple = {.saddr.ip4 = htonl(0xc6336400 + dice_below(&kernel->dice, 200)),
					    .daddr.ip4 = htonl(0x0a000001 + eni),
					    .sport = (__be16)dice_below(&kernel->dice, 60000),
					    .proto = 17,
					    .family = 4},
				  .port = eni + 1,
				  .reject = 1,
				  .reason = REASON_SG_INGRESS};
	kernel->tallies[kernel->nr_tallies++] = (struct tally){
		.packets = nr, .bytes = nr * 40ull, .first_ns = mono(kernel->now_s), .last_ns = mono(kernel->now_s)};
}

static void load(struct kernel *kernel)
{
	uint32_t nr = dice_below(&kernel->dice, 200);

	for (uint32_t i = 0; i < nr; i++) {
		uint32_t index = dice_below(&kernel->dice, FLOWS);
		uint32_t state = GS_STATE(kernel->records[index].half[0].gs);

		if (state == RECORD_FREE)
			open_flow(kernel, index);
		if (state != RECORD_CLOSING)
			carry(kernel, index);
		if (state == RECORD_LIVE && dice_hit(&kernel->dice, 5)) {
			for (int side = 0; side < 2; side++)
				kernel->records[index].half[side].gs += RECORD_CLOSING - RECORD_LIVE;
			kernel->expired[kernel->nr_expired++] = index;
		}
	}
	nr = dice_below(&kernel->dice, 300) == 0 ? 6000 : dice_below(&kernel->dice, 10);
	for (uint32_t i = 0; i < nr; i++)
		refuse(kernel, dice_below(&kernel->dice, ENIS), 1 + dice_below(&kernel->dice, 3));
}

static void tick(struct hour *hour)
{
	/* With a full disk the last flush's error comes back; what it lost is the point of this test. */
	(void)collector_tick(hour->collector, mono(hour->kernel->now_s), hour->kernel->now_s * NS);
}

/* While lines are being written the agent is killed, anywhere, for sure or not. */
static void write_lines(struct hour *hour, bool killed)
{
	struct itimerval never = {0}, soon = {.it_value.tv_usec = 1 + dice_below(&hour->kernel->dice, 6000)};

	if (killed)
		setitimer(ITIMER_REAL, &soon, NULL);
	collector_wait(hour->collector);
	setitimer(ITIMER_REAL, &never, NULL);
}

/* An agent's life: some minutes, then it ends, or is killed between two ticks or while it writes. In every third the
 * disk is full for a while. ret: only in the parent */
static void live(struct hour *hour, uint32_t life, uint64_t end_s)
{
	/* With a full disk sums may lie in plain memory, and do not outlive a kill (store.h). */
	bool full = life % 3 == 1, killed = !full && dice_hit(&hour->kernel->dice, 50);
	pid_t child = fork();
	int status;

	if (child) {
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(!status || (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM && !full));
		hour->kernel->kills += status != 0;
		return;
	}
	start(hour);
	if (full) {
		struct rlimit small = {.rlim_cur = 3 << 20, .rlim_max = RLIM_INFINITY};

		signal(SIGXFSZ, SIG_IGN);
		small.rlim_cur += dice_below(&hour->kernel->dice, 4 << 20);
		setrlimit(RLIMIT_FSIZE, &small);
	}
	for (; hour->kernel->now_s < end_s; hour->kernel->now_s++) {
		load(hour->kernel);
		tick(hour);
		if (hour->kernel->now_s % 60 < 2)
			write_lines(hour, !full && dice_hit(&hour->kernel->dice, 25));
		if (hour->kernel->now_s + 70 > end_s && full)
			setrlimit(RLIMIT_FSIZE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
	}
	if (killed)
		_exit(0);
	collector_close(&hour->collector);
	_exit(0);
}

/* ---- what readers find */

static void add_up(const char *command, const char *where, struct seen ret[ENIS])
{
	FILE *pipe;
	char line[256], shell[512];
	unsigned long long packets, bytes;
	int eni;

	snprintf(shell, sizeof(shell), command, where);
	pipe = popen(shell, "r");
	assert_non_null(pipe);
	memset(ret, 0, ENIS * sizeof(*ret));
	while (fgets(line, sizeof(line), pipe)) {
		assert_int_equal(sscanf(line, "eni-%d %llu %llu", &eni, &packets, &bytes), 3);
		assert_in_range(eni, 1, ENIS);
		ret[eni - 1].packets += packets;
		ret[eni - 1].bytes += bytes;
	}
	assert_int_equal(pclose(pipe), 0);
}

static const struct sink_page *page_of(const char *dir, const char *name, struct store *store)
{
	assert_int_equal(store_open(dir, name, sizeof(struct sink_page), store), 0);
	assert_true(store->fd >= 0);
	return store->base;
}

/* Lost and not shown: what came to no file, and what this one lost. */
static void balance_sink(struct hour *hour, const char *name, const char *command, const struct books_page *books)
{
	struct seen found[ENIS];
	struct store store;
	const struct sink_page *page = page_of(hour->dir, name, &store);

	add_up(command, hour->dir, found);
	for (int i = 0; i < ENIS; i++) {
		uint64_t common = books->port[i + 1].common, declared = page->declared[i + 1];
		uint64_t owed = page->port[i + 1].lost + common - page->port[i + 1].told;

		print_message("%s eni-%d: seen %llu = shown %llu + declared %llu + owed %llu\n", name, i + 1,
			      (unsigned long long)hour->kernel->seen[i].packets, (unsigned long long)found[i].packets,
			      (unsigned long long)declared, (unsigned long long)owed);
		assert_int_equal(hour->kernel->seen[i].packets, found[i].packets + declared + owed);
		if (!declared && !owed)
			assert_int_equal(hour->kernel->seen[i].bytes, found[i].bytes);
	}
	store_close(&store);
}

static void balance(struct hour *hour)
{
	struct seen found[ENIS];
	struct books books;
	struct store raw;

	assert_int_equal(store_open(hour->dir, "books.part", sizeof(struct books_page), &raw), 0);
	assert_int_equal(books_open(hour->dir, "books.part", ((struct books_page *)raw.base)->instance, &books), 0);
	store_close(&raw);
	add_up("cd %s; { for f in flow.log.*.gz; do [ ! -e $f ] || zcat $f; done; cat flow.log; } | "
	       "awk '$14 == \"OK\" { p[$3] += $9; b[$3] += $10 } END { for (e in p) printf \"%%s %%d %%d\\n\", e, "
	       "p[e], b[e] }'",
	       hour->dir, found);
	for (int i = 0; i < ENIS; i++)
		assert_int_equal(hour->kernel->seen[i].packets, found[i].packets + books.page->port[i + 1].declared +
									books_pending(&books, (uint32_t)i + 1));
	balance_sink(
		hour, "fl-tree.sink.part",
		"cd %s; find AWSLogs -name '*.gz' -exec zcat {} + | awk '$4 == \"OK\" { p[$1] += $2; b[$1] += $3 } "
		"END { for (e in p) printf \"%%s %%d %%d\\n\", e, p[e], b[e] }'",
		books.page);
	balance_sink(hour, "fl-folder.sink.part",
		     "cd %s/fl-folder; { for f in flow.log.*.gz; do [ ! -e $f ] || zcat $f; done; cat flow.log; } | "
		     "awk '$4 == \"OK\" { p[$1] += $2; b[$1] += $3 } END { for (e in p) printf \"%%s %%d %%d\\n\", e, "
		     "p[e], b[e] }'",
		     books.page);
	books_close(&books);
}

static void one_hour(uint64_t seed)
{
	struct hour *hour = calloc(1, sizeof(*hour));
	uint64_t packets = 0;
	uint32_t life = 0;

	hour->kernel = mmap(NULL, sizeof(*hour->kernel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(hour->kernel != MAP_FAILED);
	strcpy(hour->dir, "/tmp/flowlog-hour-XXXXXX");
	assert_non_null(mkdtemp(hour->dir));
	hour->kernel->dice.at = seed;
	hour->kernel->now_s = T0;
	hour->kernel->control.secrets[0] = 77;
	make_state(hour);
	while (hour->kernel->now_s < T0 + HOUR_S)
		live(hour, life++, hour->kernel->now_s + 200 + dice_below(&hour->kernel->dice, 400));
	/* the last one writes what the one before left, and ends well */
	start(hour);
	tick(hour);
	collector_wait(hour->collector);
	hour->kernel->now_s += 60;
	tick(hour);
	collector_close(&hour->collector);
	for (int i = 0; i < ENIS; i++)
		packets += hour->kernel->seen[i].packets;
	print_message("seed %llu: %u agents, %u killed while they wrote, %llu packets seen\n", (unsigned long long)seed,
		      life + 1, hour->kernel->kills, (unsigned long long)packets);
	assert_true(packets > 1000000);
	balance(hour);
	munmap(hour->kernel, sizeof(*hour->kernel));
	folder_remove(hour->dir);
	free(hour);
}

static void e23_e26_books_balance_over_an_hour(void **state)
{
	const char *text = getenv("ENID_ROUNDS");
	uint64_t seed = test_seed("test_flowlog_balance");
	long rounds = text ? strtol(text, NULL, 10) : 1;

	(void)state;
	for (long i = 0; i < rounds; i++)
		one_hour(seed + (uint64_t)i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(e23_e26_books_balance_over_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
