/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The topics of `enid show`: each prints its rows. ret: 0 | -errno */
#ifndef ENID_SHOW_H
#define ENID_SHOW_H

#include "show/output.h"
#include "show/view.h"

#define SHOW_TOPICS(X) \
	X(enis) \
	X(ports) \
	X(groups) \
	X(nacls) \
	X(routes) \
	X(flows) \
	X(nat) \
	X(mirrors) \
	X(rules) \
	X(drops)

#define X(topic) int show_##topic(const struct view *view, struct output *output, bool json);
SHOW_TOPICS(X)
#undef X

#endif
