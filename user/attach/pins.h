/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The pin folder as a whole: may it be trusted, and how to leave nothing behind.
 *
 * /sys/fs/bpf is open to every user: whoever makes the folder first owns what is in it. So a folder is refused unless
 * it lies on a BPF file system, belongs to us, and nobody else can write to it (E29). */
#ifndef ENID_PINS_H
#define ENID_PINS_H

struct owner;

/* Make the folder if it is missing, and check it. owner: who is going to have it, and may have it already.
 * ret: 0 | -EPERM, -ENOTDIR, -ENOENT, ...: *ret_why is a sentence, to free() */
int pin_folder_prepare(const char *pin_dir, const struct owner *owner, char **ret_why);

/* Take every program off that hangs on a link or filter of this folder, and remove all pins and the folder.
 * ret: 0, also if there was nothing | -errno of the first failure */
int pin_folder_remove(const char *pin_dir);

/* The same for one device; ret: -ENOENT if nothing of ours is on it. */
int pin_folder_remove_device(const char *pin_dir, unsigned ifindex);

#endif
