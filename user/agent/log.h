/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent's own words, on stderr. Under systemd each line begins with its priority, <N>. One event is one line: what
 * comes from names or from other programs has its control characters replaced (E32). */
#ifndef ENID_LOG_H
#define ENID_LOG_H

#include <syslog.h>

void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)

#endif
