/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose the agent is, and what it writes.
 *
 * Started as root, the agent becomes a user of its own: `enid`, where the package has made it. What it writes to
 * (pins, run folder, log folder) is handed over to that user first, while nobody else holds the locks, so that an agent
 * goes on where one that was root stopped. An agent that is started as somebody else stays what it is. */
#ifndef ENID_OWNER_H
#define ENID_OWNER_H

#include <stdbool.h>
#include <sys/types.h>

#define DEFAULT_USER "enid"

struct owner {
	uid_t uid;
	gid_t gid;
	uid_t wanted; /* whom to become, even if we stay what we are: may have the folders already */
};

/* Whom to become. wanted: a name, or UID[:GID]; NULL = the default user if there is one, else nobody else.
 * ret: 0 | -errno, logged */
int owner_find(const char *wanted, struct owner *ret);

/* May this user have made the pins? Root, ourselves, whom we are to become, the default user. */
bool owner_may_be(const struct owner *owner, uid_t uid);

/* One descriptor, to judge the folder by and to give it. ret: fd | -errno */
int owner_look(const char *folder);

/* Is this folder the owner's to have? Not if it is somebody else's; nor if it is not yet the owner's and others may
 * write there, or it holds anything but what an agent writes. folder: of owner_look(); one that is missing is nobody's.
 * names: patterns of what an agent writes there; NULL = it is known to be an agent's */
bool owner_may_have(const struct owner *owner, int folder, const char *const *names);

/* Give the folder to the owner, and all in it that owner_may_be()'s, but for what has another name elsewhere (hard
 * links) or is mounted there. names: patterns of what is given, NULL = all. ret: 0 | -errno */
int owner_give(const struct owner *owner, int folder, const char *const *names);

#endif
