/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* connect [-t MILLISECONDS] [-c CPUS] [-x] CLIENT-NETNS SERVER-NETNS ADDRESS PORT
 *
 * TCP connections, one after another on each CPU: open, a byte there, a byte back, reset. Client and server of a CPU
 * stay on it, so every CPU is busy all the time and no idle one has to be woken: what is left is what a connection
 * costs. -x: the server is on the CPU after the client's, which then is idle and woken by each packet. One line:
 * connections a second of all CPUs, CPU ns a connection (of both sides, and of the packets' way between them).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CPUS_MAX 64
#define TIMEOUT  2 /* seconds; what takes as long has failed */

struct pair {
	unsigned cpu[2]; /* client, server */
	int listener;
	const char *client_netns;
	struct sockaddr_in to;
	pthread_barrier_t *start;
	unsigned long done;
	double cpu_ns[2]; /* client, server */
	int error;
};

static atomic_bool over;

static double thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void stay_on(unsigned cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
}

static int enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC), r = fd < 0 || setns(fd, CLONE_NEWNET) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

static int one_connection(const struct pair *p)
{
	const struct linger reset = {.l_onoff = 1};
	const struct timeval wait = {.tv_sec = TIMEOUT};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;
	char byte = 'x';

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (connect(fd, (const struct sockaddr *)&p->to, sizeof(p->to)) || send(fd, &byte, 1, MSG_NOSIGNAL) != 1 ||
	    recv(fd, &byte, 1, 0) != 1)
		r = errno ? -errno : -EPIPE;
	close(fd);
	return r;
}

static void *client(void *argument)
{
	struct pair *p = argument;
	double before;

	stay_on(p->cpu[0]);
	p->error = enter(p->client_netns);
	pthread_barrier_wait(p->start);
	before = thread_ns();
	while (!p->error && !atomic_load_explicit(&over, memory_order_relaxed)) {
		p->error = one_connection(p);
		p->done += !p->error;
	}
	p->cpu_ns[0] = thread_ns() - before;
	shutdown(p->listener, SHUT_RDWR); /* ends the server */
	return NULL;
}

static void *server(void *argument)
{
	struct pair *p = argument;
	double before;
	char byte;

	stay_on(p->cpu[1]);
	pthread_barrier_wait(p->start);
	before = thread_ns();
	for (;;) {
		int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			break;
		if (recv(fd, &byte, 1, 0) == 1)
			(void)send(fd, &byte, 1, MSG_NOSIGNAL);
		close(fd);
	}
	p->cpu_ns[1] = thread_ns() - before;
	return NULL;
}

/* Listeners are made in the server's namespace, in which the process stays; clients enter theirs thread by thread. */
static int listen_at(struct pair *p)
{
	int one = 1;

	p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (p->listener < 0 || bind(p->listener, (struct sockaddr *)&p->to, sizeof(p->to)) || listen(p->listener, 512))
		return -errno;
	return 0;
}

static int measure(struct pair *pairs, unsigned cpus, unsigned ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	pthread_t threads[2 * CPUS_MAX];
	pthread_barrier_t start;
	unsigned long done = 0;
	double ns = 0;

	pthread_barrier_init(&start, NULL, 2 * cpus + 1);
	for (unsigned i = 0; i < 2 * cpus; i++) {
		pairs[i / 2].start = &start;
		if (pthread_create(&threads[i], NULL, i % 2 ? server : client, &pairs[i / 2]))
			abort();
	}
	pthread_barrier_wait(&start);
	nanosleep(&time, NULL);
	atomic_store(&over, true);
	for (unsigned i = 0; i < 2 * cpus; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < cpus; i++) {
		if (pairs[i].error)
			return pairs[i].error;
		done += pairs[i].done;
		ns += pairs[i].cpu_ns[0] + pairs[i].cpu_ns[1];
	}
	if (!done)
		return -ETIMEDOUT;
	printf("%.1f %.1f\n", (double)done * 1000 / ms, ns / (double)done);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: connect [-t MILLISECONDS] [-c CPUS] [-x] CLIENT-NETNS SERVER-NETNS ADDRESS PORT\n");
	return 2;
}

int main(int argc, char **argv)
{
	static struct pair pairs[CPUS_MAX];
	unsigned online = (unsigned)sysconf(_SC_NPROCESSORS_ONLN), cpus = online, ms = 500;
	bool cross = false;
	int c, r;

	while ((c = getopt(argc, argv, "t:c:x")) != -1) {
		if (c == 't')
			ms = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'c')
			cpus = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'x')
			cross = true;
		else
			return usage();
	}
	if (argc - optind != 4 || !ms || !cpus || cpus > CPUS_MAX)
		return usage();
	r = enter(argv[optind + 1]);
	for (unsigned i = 0; !r && i < cpus; i++) {
		unsigned long port = strtoul(argv[optind + 3], NULL, 10) + i;

		pairs[i] = (struct pair){.cpu = {i % online, (i + cross) % online}, .client_netns = argv[optind]};
		pairs[i].to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
		r = inet_pton(AF_INET, argv[optind + 2], &pairs[i].to.sin_addr) == 1 ? listen_at(&pairs[i]) : -EINVAL;
	}
	if (!r)
		r = measure(pairs, cpus, ms);
	if (r)
		fprintf(stderr, "connect: %s\n", strerror(-r));
	return r ? 1 : 0;
}
