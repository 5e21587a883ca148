# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# enid: settings, rules, targets. Everything that is made lies in build/.
#   make [V=1] [SAN=1] [WERROR=1]; make help lists the targets.

# ---- settings
comma := ,
CC ?= gcc
CLANG ?= clang
BPFTOOL ?= $(shell command -v bpftool || echo /usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
B := build$(if $(SAN),-san)
O := $(B)/obj

LIBS := libbpf libelf zlib jansson libmnl libnftables libsystemd libpcap
CPPFLAGS += -D_GNU_SOURCE -Iinclude -Iuser -I$(B)/gen
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wimplicit-fallthrough
CFLAGS += $(if $(WERROR),-Werror) $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer)
LDFLAGS += $(if $(SAN),-fsanitize=address$(comma)undefined)

LDLIBS := $(shell $(PKG_CONFIG) --libs $(LIBS) 2>/dev/null) -lm
BPF_CFLAGS := -target bpf -mcpu=v3 -g -O2 -Iinclude -Ibpf -I/usr/include/$(shell uname -m)-linux-gnu \
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
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

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

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- targets
all: $(B)/enid ## build/enid

unit: $(UNIT_BIN) ## unit tests, no root needed
	$(Q)set -e; for t in $(UNIT_BIN); do echo "== $$t"; $$t; done

clean: ## remove build/
	$(Q)rm -rf build build-san

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | sort | expand -t 20

.PHONY: all unit clean help
