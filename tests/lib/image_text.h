/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef ENID_TESTS_IMAGE_TEXT_H
#define ENID_TESTS_IMAGE_TEXT_H

#include "compile/image.h"

/* All that an image says, as text: images are the same if their texts are. To be freed. */
char *image_text(const struct image *image);

#endif
