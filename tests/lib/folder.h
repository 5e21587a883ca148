/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef ENID_TESTS_FOLDER_H
#define ENID_TESTS_FOLDER_H

/* The folder and all in it; links are not followed. */
void folder_remove(const char *path);

#endif
