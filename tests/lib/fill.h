/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of names as tests want it: full but for a few, counted, and its slots looked through one by one. */
#ifndef ENID_TESTS_FILL_H
#define ENID_TESTS_FILL_H

#include "datapath/datapath.h"

/* Names that there are, wherever they stand. */
uint32_t names_count(struct datapath *datapath);

/* Put names of nobody everywhere until only `room` names find place (in the hash). The table was nobody's before. */
void names_fill(struct datapath *datapath, uint32_t room);
/* One more. */
void names_make_room(struct datapath *datapath);
/* Take away what names_fill put there. */
void names_unfill(struct datapath *datapath);

#endif
