/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Traffic mirror sessions in the image. */
#ifndef ENID_COMPILE_MIRROR_H
#define ENID_COMPILE_MIRROR_H

#include "compile/image.h"
#include "state/extra.h"

struct image_work;

/* After the ports: image_port.mirror of those with sessions. ret: 0 | -ENOMEM | -E2BIG */
int mirrors_compile(struct image_work *work);
/* Can it send anything, wherever its ENIs are? */
bool mirror_session_works(const struct mirror_session *session);

#endif
