/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whose program is it? Two agents may serve devices of one namespace, each with its own pin folder, and their programs
 * have the same names. */
#ifndef ENID_ATTACH_OURS_H
#define ENID_ATTACH_OURS_H

#include <stdint.h>

/* Does it use a map that only programs of this pin folder use, be it of a set of another build, or of a take-over's?
 * ret: 1 | 0: somebody else's, or its pins are gone | -errno: it cannot be told */
int program_is_ours(const char *pin_dir, uint32_t prog_id);

#endif
