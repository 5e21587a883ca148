# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# enid: settings, rules, targets. Everything that is made lies in build/.
#   make [V=1] [SAN=1] [WERROR=1]; make help lists the targets.
# SAN and COVER build below build/ in folders of their own.

# ---- settings
comma := ,
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
B := build$(if $(SAN),/san)$(if $(COVER),/cover)
O := $(B)/obj

LIBS := libbpf libelf zlib jansson libmnl libnftables libsystemd libpcap
override CPPFLAGS += -D_GNU_SOURCE -Iinclude -Iuser -I$(B)/gen
CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wimplicit-fallthrough
override CFLAGS += $(if $(WERROR),-Werror) $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer) \
	$(if $(COVER),--coverage -O0)
override LDFLAGS += $(if $(SAN),-fsanitize=address$(comma)undefined) $(if $(COVER),--coverage)

LDLIBS := $(shell $(PKG_CONFIG) --libs $(LIBS) 2>/dev/null) -lm
BPF_INCLUDES := -Iinclude -Ibpf -I/usr/include/$(shell uname -m)-linux-gnu
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -mllvm -disable-block-placement $(BPF_INCLUDES) \
	-Wall -Wextra -Wshadow -Wimplicit-fallthrough -Wconditional-uninitialized -Wcomma -Wno-unused-parameter \
	$(if $(WERROR),-Werror)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))

USER_SRC := $(sort $(wildcard user/*.c user/*/*.c))
USER_OBJ := $(USER_SRC:%.c=$(O)/%.o)
LIB_OBJ := $(filter-out $(O)/user/main.o,$(USER_OBJ))
BPF_SRC := $(sort $(wildcard bpf/*.bpf.c))
SKELETONS := $(BPF_SRC:bpf/%.bpf.c=$(B)/gen/%.skel.h)
UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(B)/tests/unit/%)
DATAPATH_SRC := $(sort $(wildcard tests/datapath/test_*.c))
DATAPATH_BIN := $(DATAPATH_SRC:tests/datapath/%.c=$(B)/tests/datapath/%)
TEST_LIB_SRC := $(sort $(wildcard tests/lib/*.c))
TEST_LIB_OBJ := $(TEST_LIB_SRC:%.c=$(O)/%.o)

.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

# ---- rules
$(B)/gen/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $(@:.bpf.o=.raw.o)
	$(Q)$(BPFTOOL) gen object $@ $(@:.bpf.o=.raw.o)

$(B)/gen/%.skel.h: $(B)/gen/%.bpf.o
	$(call say,SKEL,$@)
	$(Q){ echo '/* NOLINTBEGIN: made by bpftool */'; $(BPFTOOL) gen skeleton $< name $*_bpf; echo '/* NOLINTEND */'; } > $@

$(O)/%.o: %.c | $(SKELETONS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Itests -MMD -MP -c $< -o $@

$(B)/enid: $(USER_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(B)/tests/%: $(O)/tests/%.o $(TEST_LIB_OBJ) $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -lcmocka -o $@

-include $(shell find $(O) $(B)/gen -name '*.d' 2>/dev/null)

# ---- targets
all: $(B)/enid ## build/enid

unit: $(UNIT_BIN) ## unit tests, no root needed
	$(Q)tests/run $(UNIT_BIN)

datapath: $(DATAPATH_BIN) ## tables of packets through the real programs (root)
	$(Q)tests/run $(DATAPATH_BIN)

# What `make test` runs, one shell word a program; parts with a rules.mk of their own add theirs.
TEST_PROGRAMS := $(UNIT_BIN) $(DATAPATH_BIN)
# What `make test-long` runs: targets, in proportion to LONG_MINUTES where they last as long as one wants.
LONG_MINUTES ?= 60
LONG_TESTS := golden test-kernels
CHECKS := 'make -s lint' $(UNIT_BIN) $(DATAPATH_BIN) $(if $(wildcard tests/golden/run.py), \
	'tests/kernels/golden --hook tc $(B)/enid' 'tests/kernels/golden --hook xdp $(B)/enid' \
	'/usr/bin/python3 tests/golden/run.py -k tv42-full-table $(B)/enid')

-include $(sort $(wildcard tests/*/rules.mk))

CHECKS += $(if $(ORACLE),'make -s oracle') $(sort $(wildcard tests/cli/test_*.py tests/net/test_*.sh tests/net/test_*.py)) \
	'make -s test-kernel-6.1-short'

# The libraries are looked up when make starts, so what comes after an installation is for another make.
test: set-up ## install what is missing, build, run every test (root)
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) WERROR=1 all test-programs
	$(Q)$(MAKE) --no-print-directory check

test-long: set-up ## every test's long form; LONG_MINUTES=60 is a fuzzer's time, the rest in proportion (root)
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) all test-programs
	$(Q)tests/run -t 86400 $(LONG_TESTS:%='make -s %')

demo: set-up ## install what is missing, build, show the reference architecture at work (root)
	$(Q)$(MAKE) --no-print-directory -j$(shell nproc) all
	$(Q)tests/demo/demo

check: all test-programs ## every test, without installing anything
	$(Q)tests/run $(CHECKS)

test-programs: $(TEST_PROGRAMS) $(ORACLE)

deps: ## install what is missing (apt)
	$(Q)deploy/install-deps.sh

set-up: deps
	$(Q)mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf

install: all ## enid, its services, man pages and completion below DESTDIR
	$(Q)install -D -m 755 $(B)/enid $(DESTDIR)/usr/sbin/enid
	$(Q)install -D -m 644 -t $(DESTDIR)/lib/systemd/system $(wildcard deploy/*.service)
	$(Q)install -D -m 644 -t $(DESTDIR)/usr/share/man/man8 $(wildcard deploy/man/*.8)
	$(Q)install -D -m 644 -t $(DESTDIR)/usr/share/man/man5 $(wildcard deploy/man/*.5)
	$(Q)install -D -m 644 deploy/enid.bash-completion $(DESTDIR)/usr/share/bash-completion/completions/enid
	$(Q)install -d -m 755 $(DESTDIR)/etc/enid/state

vmlinux: ## vmlinux/vmlinux.h from the running kernel (see vmlinux/README.md)
	$(Q)$(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c > vmlinux/vmlinux.h

clean: ## remove build/
	$(Q)rm -rf build

help: ## this list
	@sed -n 's/^\([a-z0-9.-]*\):.*## /\1\t/p' $(filter-out %.d,$(MAKEFILE_LIST)) | sort | expand -t 24

.PHONY: all unit datapath test test-long demo check test-programs deps set-up install vmlinux clean help
