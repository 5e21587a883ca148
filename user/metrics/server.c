/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "metrics/server.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

#define FRESH_NS     1000000000ull
#define CONNECTIONS  16u
#define TIMEOUT_S    10u
#define THREAD_NICE  10
#define SOCKET_MODE  0660
#define CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define UNIX_PREFIX  "unix:"
#define BACKLOG      16

/* libmicrohttpd brings a dozen libraries along, GnuTLS among them, which take longer to start than all else that a
 * command does: loaded by those who serve only. X(function) */
#define HTTP_LIBRARY "libmicrohttpd.so.12"
#define HTTP_FUNCTIONS(X) \
	X(MHD_start_daemon) \
	X(MHD_stop_daemon) \
	X(MHD_create_response_from_buffer) \
	X(MHD_add_response_header) \
	X(MHD_queue_response) \
	X(MHD_destroy_response)

/* Loaded once, for good. */
static struct {
	void *handle;
#define X(function) __typeof__(function) *function;
	HTTP_FUNCTIONS(X)
#undef X
} http;

struct metrics_server {
	struct MHD_Daemon *daemon;
	struct metrics_source source;
	char *socket_path; /* to remove at the end; NULL = none */
	/* of the server's thread */
	char *text;
	size_t length;
	uint64_t made_ns;
	bool nice;
};

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* ---- where */

static int unix_address(const char *path, union address *ret, socklen_t *ret_length, char **ret_why)
{
	if (*path != '/' || strlen(path) >= sizeof(ret->un.sun_path))
		return refuse(ret_why, -EINVAL, "'%s' is no absolute path of at most %zu bytes", path,
			      sizeof(ret->un.sun_path) - 1);
	ret->un.sun_family = AF_UNIX;
	strcpy(ret->un.sun_path, path);
	*ret_length = sizeof(ret->un);
	return 0;
}

static bool is_loopback(const union address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr);
}

static bool read_port(const char *text, in_port_t *ret)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	*ret = htons((uint16_t)port);
	return *text >= '0' && *text <= '9' && !*end && port && port <= UINT16_MAX;
}

static int parse(const char *where, union address *ret, socklen_t *ret_length, char **ret_why)
{
	char host[INET6_ADDRSTRLEN + 2];
	const char *colon = strrchr(where, ':');
	size_t length = colon ? (size_t)(colon - where) : 0;
	in_port_t port = 0;

	memset(ret, 0, sizeof(*ret));
	if (!strncmp(where, UNIX_PREFIX, strlen(UNIX_PREFIX)))
		return unix_address(where + strlen(UNIX_PREFIX), ret, ret_length, ret_why);
	if (!length || length >= sizeof(host) || !read_port(colon + 1, &port))
		return refuse(ret_why, -EINVAL, "'%s' is neither ADDRESS:PORT nor unix:PATH", where);
	memcpy(host, where, length);
	host[length] = 0;
	if (host[0] == '[' && host[length - 1] == ']') {
		host[length - 1] = 0;
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = port;
		*ret_length = sizeof(ret->in6);
		length = inet_pton(AF_INET6, host + 1, &ret->in6.sin6_addr) == 1;
	} else {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = port;
		*ret_length = sizeof(ret->in);
		length = inet_pton(AF_INET, host, &ret->in.sin_addr) == 1;
	}
	if (!length)
		return refuse(ret_why, -EINVAL, "'%s' is neither ADDRESS:PORT nor unix:PATH", where);
	if (!is_loopback(ret))
		return refuse(ret_why, -EINVAL, "'%s' is no loopback address: there is neither a password nor TLS",
			      where);
	return 0;
}

int metrics_where(const char *where, char **ret_why)
{
	union address address;
	socklen_t length;

	return parse(where, &address, &length, ret_why);
}

/* A socket that a killed agent left is in the way; one that is listened to is somebody else's, and who does not accept
 * must not hold up the start. */
static void remove_left(const union address *address, socklen_t length)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd >= 0 && !lstat(address->un.sun_path, &st) && S_ISSOCK(st.st_mode) &&
	    connect(fd, &address->any, length) && errno == ECONNREFUSED)
		(void)unlink(address->un.sun_path);
}

static int listen_at(const union address *address, socklen_t length)
{
	bool local = address->any.sa_family == AF_UNIX;
	_cleanup_close_ int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int on = 1;

	if (fd < 0)
		return -errno;
	if (local)
		remove_left(address, length);
	else
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, &address->any, length))
		return -errno;
	/* Nobody can connect before listen(). */
	if ((local && chmod(address->un.sun_path, SOCKET_MODE)) || listen(fd, BACKLOG))
		return -errno;
	return TAKE_FD(fd);
}

/* ---- the library */

static int load_library(char **ret_why)
{
	void *library = http.handle ? http.handle : dlopen(HTTP_LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return refuse(ret_why, -ENOENT, "cannot load " HTTP_LIBRARY ": %s", dlerror());
	http.handle = library;
#define X(function) \
	http.function = (__typeof__(http.function))dlsym(library, #function); \
	if (!http.function) \
		return refuse(ret_why, -ENOENT, HTTP_LIBRARY " has no " #function);
	HTTP_FUNCTIONS(X)
#undef X
	return 0;
}

/* ---- answers */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static int make_text(struct metrics_server *server)
{
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	int r;

	if (!out)
		return -ENOMEM;
	r = metrics_write(&server->source, out, false);
	if (fclose(out) && !r)
		r = -ENOMEM;
	if (r) {
		free(text);
		return r;
	}
	free(server->text);
	server->text = text;
	server->length = length;
	server->made_ns = now_ns();
	return 0;
}

static enum MHD_Result send_text(struct MHD_Connection *connection, unsigned int code, const char *text, size_t length)
{
	struct MHD_Response *response =
		http.MHD_create_response_from_buffer(length, (void *)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result done;

	if (!response)
		return MHD_NO;
	(void)http.MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, CONTENT_TYPE);
	if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)http.MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	done = http.MHD_queue_response(connection, code, response);
	http.MHD_destroy_response(response);
	return done;
}

static enum MHD_Result send_words(struct MHD_Connection *connection, unsigned int code, const char *words)
{
	return send_text(connection, code, words, strlen(words));
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
			      const char *version, const char *upload, size_t *upload_size, void **request)
{
	struct metrics_server *server = arg;

	(void)version;
	(void)upload;
	if (!*request) { /* only the head was read: MHD wants the answer later */
		*request = server;
		return MHD_YES;
	}
	if (*upload_size) { /* nobody wants it; the answer may only come at its end */
		*upload_size = 0;
		return MHD_YES;
	}
	if (!server->nice)
		server->nice = !setpriority(PRIO_PROCESS, (id_t)gettid(), THREAD_NICE);
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return send_words(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET only\n");
	if (strcmp(url, "/metrics") != 0)
		return send_words(connection, MHD_HTTP_NOT_FOUND, "there is /metrics only\n");
	if ((!server->text || now_ns() - server->made_ns >= FRESH_NS) && make_text(server))
		return send_words(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	return send_text(connection, MHD_HTTP_OK, server->text, server->length);
}

int metrics_serve(const char *where, const struct metrics_source *source, struct metrics_server **ret, char **ret_why)
{
	struct metrics_server *server = NULL;
	union address address;
	socklen_t length = 0;
	int r = parse(where, &address, &length, ret_why), fd = -1;

	if (!r)
		r = load_library(ret_why);
	if (r)
		return r;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->source = *source;
	fd = listen_at(&address, length);
	if (fd < 0) {
		free(server);
		return refuse(ret_why, fd, "cannot listen at %s: %s", where, strerror(-fd));
	}
	if (address.any.sa_family == AF_UNIX)
		server->socket_path = strdup(address.un.sun_path);
	server->daemon = http.MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, server,
					       MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
					       MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
	if (!server->daemon) {
		close(fd);
		metrics_stop(&server);
		return refuse(ret_why, -EIO, "no HTTP server can be started at %s", where);
	}
	*ret = server;
	return 0;
}

void metrics_stop(struct metrics_server **server)
{
	struct metrics_server *s = *server;

	*server = NULL;
	if (!s)
		return;
	if (s->daemon)
		http.MHD_stop_daemon(s->daemon); /* closes the socket that it listens at */
	if (s->socket_path)
		(void)unlink(s->socket_path);
	free(s->socket_path);
	free(s->text);
	free(s);
}
