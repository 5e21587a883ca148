/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cable NETNS DEVICE NETNS DEVICE
 *
 * Makes two taps and carries the frames between them, as a virtual machine's monitor and its guest do: checksums and
 * segmentation are left to whom they concern. Says "ready" when both devices are there, and ends with its input. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define FRAME_MAX 70000
#define AT_ONCE   64 /* frames of one side, before the other one has its turn */

static int open_tap(const char *netns, const char *device)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int ns = open(netns, O_RDONLY | O_CLOEXEC), fd;

	if (ns < 0 || setns(ns, CLONE_NEWNET))
		return -1;
	close(ns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
		return -1;
	return fd;
}

/* A device that is down, or whose queue is full, loses frames. ret: whether the cable is whole */
static bool carry(int from, int to)
{
	static char frame[FRAME_MAX];

	for (int i = 0; i < AT_ONCE; i++) {
		ssize_t n = read(from, frame, sizeof(frame));

		if (n < 0)
			return errno == EAGAIN || errno == EIO || errno == EINTR;
		if (write(to, frame, (size_t)n) < 0 && errno == EBADF)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct pollfd fds[3] = {{.fd = STDIN_FILENO, .events = POLLIN}};

	if (argc != 5) {
		fprintf(stderr, "usage: cable NETNS DEVICE NETNS DEVICE\n");
		return 2;
	}
	for (int i = 0; i < 2; i++) {
		fds[1 + i] = (struct pollfd){.fd = open_tap(argv[1 + 2 * i], argv[2 + 2 * i]), .events = POLLIN};
		if (fds[1 + i].fd < 0) {
			fprintf(stderr, "cable: %s: %s\n", argv[2 + 2 * i], strerror(errno));
			return 1;
		}
	}
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	for (;;) {
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents)
			return 0;
		for (int i = 1; i < 3; i++)
			if ((fds[i].revents & POLLIN) && !carry(fds[i].fd, fds[3 - i].fd))
				return 1;
	}
}
