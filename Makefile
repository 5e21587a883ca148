# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# enid: settings, rules, targets. Everything that is made lies in build/.
#   make [V=1] [SAN=1] [WERROR=1]; make help lists the targets.
# SAN, COVER, LAYOUT (a record layout that no release has) and BPF_WEAK (the order of stores written down, as CPUs other than x86
# need it) build below build/ in folders of their own.

# ---- settings
comma := ,
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
B := build$(if $(SAN),/san)$(if $(COVER),/cover)$(if $(LAYOUT),/layout)$(if $(BPF_WEAK),/weak)
O := $(B)/obj

LAYOUT_CPPFLAGS := $(if $(LAYOUT),-DENID_TEST_LAYOUT)
LIBS := libbpf libelf zlib jansson libmnl libnftables libsystemd libpcap
override CPPFLAGS += -D_GNU_SOURCE -Iinclude -Iuser -I$(B)/gen $(LAYOUT_CPPFLAGS)
CFLAGS ?= -O2 -g
override CFLAGS += -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wimplicit-fallthrough
override CFLAGS += $(if $(WERROR),-Werror) $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer) \
	$(if $(COVER),--coverage -O0)
override LDFLAGS += $(if $(SAN),-fsanitize=address$(comma)undefined) $(if $(COVER),--coverage)

LDLIBS := $(shell $(PKG_CONFIG) --libs $(LIBS) 2>/dev/null) -lm
BPF_INCLUDES := -Iinclude -Ibpf -I/usr/include/$(shell uname -m)-linux-gnu
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -mllvm -disable-block-placement $(BPF_INCLUDES) \
	-Wall -Wextra -Wshadow -Wimplicit-fallthrough -Wconditional-uninitialized -Wcomma -Wno-unused-parameter \
	$(if $(BPF_WEAK)$(filter-out x86_64 s390x,$(shell uname -m)),-DENID_WEAK_MEMORY) $(if $(WERROR),-Werror) \
	$(LAYOUT_CPPFLAGS)

Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2))
# behind a compiler's command: what it says is told, and kept for `make lint`, which wants it to say nothing
kept = 2> $@.said || { cat $@.said >&2; exit 1; }; cat $@.said >&2

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
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MF $(@:.o=.d) -MT $@ -c $< -o $(@:.bpf.o=.raw.o) $(kept)
	$(Q)$(BPFTOOL) gen object $@ $(@:.bpf.o=.raw.o)

$(B)/gen/%.skel.h: $(B)/gen/%.bpf.o
	$(call say,SKEL,$@)
	$(Q){ echo '/* NOLINTBEGIN: made by bpftool */'; $(BPFTOOL) gen skeleton $< name $*_bpf; echo '/* NOLINTEND */'; } > $@

$(O)/%.o: %.c | $(SKELETONS)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Itests -MMD -MP -c $< -o $@ $(kept)

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
# Of CHECKS, what waits for packets, agents and clocks most of the time: one after another, while the rest computes behind
# it at a lower priority. CHECKS_PAIRED: two of them at a time, the longest first. CHECKS_LAST: what measures throughput, with
# nothing beside it.
CHECKS_WAITING := $(sort $(wildcard tests/net/test_*.py tests/net/test_*.sh tests/survive/test_*.py)) \
	$(foreach t,plan metrics top live filters flowlogs,$(wildcard tests/cli/test_$t.py))
CHECKS_PAIRED := $(foreach t,gates paths guard hazards services hooks denial gwlb export nat64 tools sizes show internet \
	traffic plan checksums,$(wildcard tests/net/test_$t.py))
CHECKS_LAST := $(foreach t,offloads floods,$(wildcard tests/net/test_$t.py))
# What fails here when the machine stands still for a second, and proves no denial: tried once more, and said so.
CHECKS_AGAIN := $(foreach t,live top metrics filters flowlogs plan readme,tests/cli/test_$t) tests/survive/test_weather \
	$(foreach t,readme_live demo show offloads,tests/net/test_$t) tests/bench/verifier
# The longest first, or they are waited for in the end while a CPU has nothing to do.
CHECKS := 'make -s test-kernel-6.1-short' 'make -s lint' $(UNIT_BIN) $(DATAPATH_BIN) $(if $(wildcard tests/golden/run.py), \
	'tests/kernels/golden --hook tc $(B)/enid' 'tests/kernels/golden --hook xdp $(B)/enid' \
	$(patsubst tests/golden/%/options.txt,'/usr/bin/python3 tests/golden/run.py -k % $(B)/enid',$(wildcard tests/golden/*/options.txt)))

-include $(sort $(wildcard tests/*/rules.mk))

CHECKS += $(if $(ORACLE),'make -s oracle') $(sort $(wildcard tests/cli/test_*.py tests/net/test_*.sh tests/net/test_*.py))

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
	$(Q)tests/run --behind=$(shell nproc) $(filter-out $(CHECKS_WAITING),$(CHECKS)) --jobs=2 $(CHECKS_PAIRED) \
		--alone $(filter-out $(CHECKS_PAIRED) $(CHECKS_LAST),$(CHECKS_WAITING)) --last $(CHECKS_LAST) '--again=^($(subst $() $(),|,$(CHECKS_AGAIN)))\.'

test-programs: $(TEST_PROGRAMS) $(ORACLE)

deps: ## install what is missing (apt)
	$(Q)deploy/install-deps.sh

set-up: deps
	$(Q)mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf

install: all ## enid, its services, man pages and completion below DESTDIR
	$(Q)install -D -m 755 $(B)/enid $(DESTDIR)/usr/sbin/enid
	$(Q)install -D -m 644 -t $(DESTDIR)/lib/systemd/system $(wildcard deploy/*.service)
	$(Q)install -D -m 644 deploy/enid.sysusers $(DESTDIR)/usr/lib/sysusers.d/enid.conf
	$(Q)install -D -m 644 deploy/enid.tmpfiles $(DESTDIR)/usr/lib/tmpfiles.d/enid.conf
	$(Q)$(if $(DESTDIR),,command -v systemd-sysusers >/dev/null && systemd-sysusers enid.conf || true)
	$(Q)install -D -m 644 -t $(DESTDIR)/usr/share/man/man8 $(wildcard deploy/man/*.8)
	$(Q)install -D -m 644 -t $(DESTDIR)/usr/share/man/man5 $(wildcard deploy/man/*.5)
	$(Q)install -D -m 644 deploy/enid.bash-completion $(DESTDIR)/usr/share/bash-completion/completions/enid
	$(Q)install -d -m 755 $(DESTDIR)/etc/enid/state

deb: all ## a Debian package: build/enid_VERSION_ARCHITECTURE.deb; DEB_VERSION=x.y sets another version
	$(Q)deploy/debian/build $(B) $(DEB_VERSION)

vmlinux: ## vmlinux/vmlinux.h from the running kernel (see vmlinux/README.md)
	$(Q)$(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c > vmlinux/vmlinux.h

clean: ## remove build/
	$(Q)rm -rf build

help: ## this list
	@sed -n 's/^\([a-z0-9.-]*\):.*## /\1\t/p' $(filter-out %.d,$(MAKEFILE_LIST)) | sort | expand -t 24

.PHONY: all unit datapath test test-long demo check test-programs deps set-up install deb vmlinux clean help
