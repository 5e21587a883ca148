/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Packets as fast as one CPU sends them, from one namespace to another, while something happens to enid.
 *
 *   prober FROM-NETNS TO-NETNS ADDRESS ALLOWED-PORT DENIED-PORT
 *
 * One allowed flow whose every packet is counted at both ends and answered, so both directions are established; and
 * denied packets, each from another source port, so each is judged. No more than WINDOW allowed packets are on their
 * way, so that no socket buffer overflows and a packet that is missing was dropped on the way. Runs until its standard
 * input ends, then prints what was sent, lost and answered, as JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW       256
#define PATIENCE_MS  200
#define BUFFER       (8 << 20)
#define DENIED_PORTS 512

static uint64_t sent, got, answered, denied_sent, denied_got, overdue, longest_ns;
static volatile bool stop;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void enter(const char *netns)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(path);
	close(fd);
}

static int make_socket(uint16_t port)
{
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	const struct timeval patience = {.tv_usec = 20000};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), size = BUFFER;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&any, sizeof(any)))
		die("socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}

/* Every packet of the allowed flow is sent back. */
static void *receive(void *data)
{
	int fd = *(int *)data;
	struct sockaddr_in from;
	socklen_t length;
	uint64_t number;

	while (!stop) {
		length = sizeof(from);
		if (recvfrom(fd, &number, sizeof(number), 0, (struct sockaddr *)&from, &length) != sizeof(number))
			continue;
		__atomic_fetch_add(&got, 1, __ATOMIC_RELEASE);
		(void)sendto(fd, &number, sizeof(number), 0, (const struct sockaddr *)&from, length);
	}
	return NULL;
}

static void *receive_denied(void *data)
{
	int fd = *(int *)data;
	uint64_t number;

	while (!stop)
		if (recv(fd, &number, sizeof(number), 0) == sizeof(number))
			__atomic_fetch_add(&denied_got, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *receive_answers(void *data)
{
	int fd = *(int *)data;
	uint64_t number;

	while (!stop)
		if (recv(fd, &number, sizeof(number), 0) == sizeof(number))
			__atomic_fetch_add(&answered, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* ret: whether the oldest packets have arrived in time; else they are lost, and counted once */
static bool window_opens(uint64_t given_up)
{
	uint64_t since = now_ns();

	while (sent - given_up - __atomic_load_n(&answered, __ATOMIC_ACQUIRE) >= WINDOW) {
		if (now_ns() - since > PATIENCE_MS * 1000000ull)
			return false;
		(void)usleep(50);
	}
	if (now_ns() - since > longest_ns)
		longest_ns = now_ns() - since;
	return true;
}

static void send_on(int allowed, const struct sockaddr_in *to, const int *denied, const struct sockaddr_in *denied_to)
{
	struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t given_up = 0;

	for (uint64_t n = 0; n % 1024 || !poll(&end, 1, 0); n++) {
		if (!window_opens(given_up)) {
			given_up = sent - __atomic_load_n(&answered, __ATOMIC_ACQUIRE);
			overdue++;
		}
		if (sendto(allowed, &n, sizeof(n), 0, (const struct sockaddr *)to, sizeof(*to)) == sizeof(n))
			sent++;
		if (n % 4 == 0 && sendto(denied[n / 4 % DENIED_PORTS], &n, sizeof(n), 0,
					 (const struct sockaddr *)denied_to, sizeof(*denied_to)) == sizeof(n))
			denied_sent++;
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET}, denied_to;
	int allowed, closed, sender, denied[DENIED_PORTS];
	struct sockaddr_in own = {};
	socklen_t length = sizeof(own);
	pthread_t threads[3];
	uint64_t began;

	if (argc != 6 || inet_pton(AF_INET, argv[3], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: prober FROM-NETNS TO-NETNS ADDRESS ALLOWED-PORT DENIED-PORT\n");
		return 2;
	}
	(void)!nice(19); /* all the time that nobody else wants */
	denied_to = to;
	to.sin_port = htons((uint16_t)atoi(argv[4]));
	denied_to.sin_port = htons((uint16_t)atoi(argv[5]));
	enter(argv[2]);
	allowed = make_socket(ntohs(to.sin_port));
	closed = make_socket(ntohs(denied_to.sin_port));
	enter(argv[1]);
	sender = make_socket(0);
	for (int i = 0; i < DENIED_PORTS; i++)
		denied[i] = make_socket(0);
	pthread_create(&threads[0], NULL, receive, &allowed);
	pthread_create(&threads[1], NULL, receive_denied, &closed);
	pthread_create(&threads[2], NULL, receive_answers, &sender);
	began = now_ns();
	send_on(sender, &to, denied, &denied_to);
	began = now_ns() - began;
	(void)getsockname(sender, (struct sockaddr *)&own, &length);
	usleep(300000);
	stop = true;
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("{\"sport\":%u,\"seconds\":%.1f,\"sent\":%lu,\"got\":%lu,\"answered\":%lu,\"denied_sent\":%lu,\"denied_"
	       "got\":%lu,"
	       "\"overdue\":%lu,\"longest_ms\":%.1f}\n",
	       ntohs(own.sin_port), (double)began / 1e9, sent, got, answered, denied_sent, denied_got, overdue,
	       (double)longest_ns / 1e6);
	return 0;
}
