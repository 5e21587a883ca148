/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Stands in for libbpf's header of this name when bpf/ is compiled for the host: the same words, and every helper of
 * the kernel as an ordinary function (helper_defs.h is made from libbpf's own list; see rules.mk). */
#ifndef ENID_HOST_BPF_HELPERS_H
#define ENID_HOST_BPF_HELPERS_H

#include <linux/bpf.h>
#include <stddef.h>

#define __uint(name, value)   int(*name)[value]
#define __type(name, value)   __typeof__(value) *name
#define __array(name, value)  __typeof__(value) *name[]
#define SEC(name)             __attribute__((used))
#define __weak                __attribute__((weak))
#define __hidden
#define __noinline            __attribute__((noinline))
#undef __always_inline
#define __always_inline       inline __attribute__((always_inline))

#include "helper_defs.h"

#endif
