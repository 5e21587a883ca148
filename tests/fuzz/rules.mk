# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The host build of bpf/ and user/, fuzzers over it, and its coverage.
# FLAVOR: fuzz (libFuzzer, ASan, UBSan), afl (AFL++ with the same), cover (source-based coverage).

FLAVOR ?= fuzz
H := $(B)/host-$(FLAVOR)
FUZZERS := packet flow classify state replay

HOST_CC_afl := afl-clang-fast
HOST_CC := $(or $(HOST_CC_$(FLAVOR)),$(CLANG))
# without pointer-overflow: it takes NULL + 0, which every compiler allows, for a fault
SANITIZED := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize=pointer-overflow -fno-sanitize-recover=all
HOST_FLAGS_fuzz := $(SANITIZED) -fsanitize=fuzzer-no-link
HOST_FLAGS_afl := $(SANITIZED)
HOST_FLAGS_cover := -O1 -fprofile-instr-generate -fcoverage-mapping
HOST_CFLAGS := -std=gnu11 -g -Wall -Wextra -Wno-unused-parameter -Wno-gnu-variable-sized-type-not-at-end \
	-Werror=implicit-function-declaration $(if $(WERROR),-Werror) $(HOST_FLAGS_$(FLAVOR))
# what only watches need not be explored
HOST_UNEXPLORED := $(filter-out -fsanitize=fuzzer-no-link,$(HOST_CFLAGS))
HOST_INCLUDES := -I$(H)/gen -Itests/fuzz/host -Iinclude

HOST_KEPT := host_programs host_map_symbols host_data_symbols host_policy_ask

HOST_LIB_SRC := $(wildcard tests/fuzz/host/*.c)
HOST_LIB := $(HOST_LIB_SRC:%.c=$(H)/%.o)
HOST_USER := $(filter-out $(H)/user/main.o,$(USER_SRC:%.c=$(H)/%.o))

$(H)/gen/lists.h: tests/fuzz/host/lists.awk $(filter-out bpf/handover.bpf.c,$(wildcard bpf/*.[ch]))
	$(Q)mkdir -p $(@D)
	$(Q)awk -f $^ > $@

$(H)/gen/helper_defs.h: tests/fuzz/host/helpers.awk tests/fuzz/host/helpers.c /usr/include/bpf/bpf_helper_defs.h
	$(Q)mkdir -p $(@D)
	$(Q)awk -f $^ > $@

# Programs may read a frame's words at odd addresses, as bpf/ does on purpose; what their names are is nobody's business.
$(H)/tests/fuzz/host/program.o: tests/fuzz/host/program.c $(H)/gen/lists.h $(H)/gen/helper_defs.h
	$(call say,HOST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOST_CC) $(HOST_INCLUDES) $(HOST_CFLAGS) -Wno-pointer-bool-conversion -Wno-tautological-pointer-compare \
		$(if $(filter cover,$(FLAVOR)),,-fno-sanitize=alignment) -MMD -MP -c $< -o $@
	$(Q)objcopy $(HOST_KEPT:%=--keep-global-symbol=%) $@

$(H)/tests/fuzz/host/helpers.o: $(H)/gen/helper_defs.h

$(H)/tests/fuzz/%.o: tests/fuzz/%.c | $(SKELETONS)
	$(call say,HOST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOST_CC) $(CPPFLAGS) $(HOST_INCLUDES) -Itests $(HOST_UNEXPLORED) -MMD -MP -c $< -o $@

$(H)/tests/lib/%.o: tests/lib/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(HOST_CC) $(CPPFLAGS) -Itests $(HOST_UNEXPLORED) -MMD -MP -c $< -o $@

# Shared memory of maps is the host's own (kernel.c).
$(H)/user/%.o: user/%.c | $(SKELETONS)
	$(call say,HOST,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(HOST_CC) $(CPPFLAGS) $(HOST_CFLAGS) -Dmmap=host_mmap -Dmunmap=host_munmap -Dsyscall=host_syscall -Dfcntl=host_fcntl -MMD -MP -c $< -o $@

# enid over the host's data path: `replay` works, without root and without a kernel.
$(H)/enid: $(H)/user/main.o $(HOST_USER) $(HOST_LIB)
	$(call say,LINK,$@)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) $^ $(LDLIBS) -o $@

-include $(shell find $(H) -name '*.d' 2>/dev/null)

# ---- fuzzers: one LLVMFuzzerTestOneInput each; without libFuzzer (cover) every file or folder named is one input each
FUZZ_SCENE := $(H)/tests/fuzz/scene.o $(H)/tests/fuzz/audit.o
FUZZ_NEEDS_packet := $(FUZZ_SCENE)
FUZZ_NEEDS_flow := $(FUZZ_SCENE) $(H)/tests/fuzz/frame.o
FUZZ_NEEDS_classify := $(H)/tests/fuzz/audit.o $(TEST_LIB_SRC:%.c=$(H)/%.o)
FUZZ_NEEDS_state := $(H)/tests/fuzz/feed.o $(H)/tests/fuzz/audit.o
FUZZ_NEEDS_replay := $(FUZZ_NEEDS_state)
FUZZ_MAIN_fuzz := -fsanitize=fuzzer
FUZZ_EACH_cover := $(H)/tests/fuzz/each.o
FUZZ_MAIN_afl := -fsanitize=fuzzer

.SECONDEXPANSION:
$(FUZZERS:%=$(H)/fuzz-%): $(H)/fuzz-%: $(H)/tests/fuzz/%.o $$(FUZZ_NEEDS_%) $(HOST_USER) $(HOST_LIB) $(FUZZ_EACH_$(FLAVOR))
	$(call say,LINK,$@)
	$(Q)$(HOST_CC) $(HOST_CFLAGS) $^ $(FUZZ_MAIN_$(FLAVOR)) $(LDLIBS) -o $@

# ---- targets
FUZZ_SECONDS ?= 60
HOST_FUZZ := $(FUZZERS:%=$(H)/fuzz-%) $(H)/enid

fuzz-short: $(HOST_FUZZ) ## every fuzzer for FUZZ_SECONDS (60) of a core, what failed once first
	$(Q)tests/fuzz/run $(H) $(FUZZ_SECONDS) $(FUZZERS)

fuzz-same: $(HOST_FUZZ) $(B)/enid ## the fuzzers' packets through the kernel's programs and the host's: the same answers (root)
	$(Q)tests/fuzz/same.py $(B)/enid $(H)

# what is below belongs to one flavor; a make of its own sets it
fuzz-afl: $(HOST_FUZZ)
	$(Q)tests/fuzz/afl $(H) $(FUZZ_SECONDS) $(FUZZERS)

fuzz-long: FUZZ_SECONDS = $(shell echo $$(($(LONG_MINUTES) * 60)))
fuzz-long: deps ## every fuzzer for LONG_MINUTES=60 under libFuzzer, then under AFL++; then fuzz-same over all found
	$(Q)$(MAKE) --no-print-directory FLAVOR=fuzz FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz-short
	$(Q)$(MAKE) --no-print-directory FLAVOR=afl FUZZ_SECONDS=$(FUZZ_SECONDS) fuzz-afl
	$(Q)$(MAKE) --no-print-directory FLAVOR=fuzz all
	$(Q)tests/fuzz/same.py --packets 1000000 --corpus $(B)/host-fuzz/corpus $(B)/enid $(B)/host-fuzz

# bpf/ by clang's counters, through the host's build; user/ by gcc's, through its tests
cover-programs: all $(UNIT_BIN) $(DATAPATH_BIN)

cover: ## line and branch coverage of bpf/ and user/, a table a file (root)
	$(Q)$(MAKE) --no-print-directory FLAVOR=cover $(FUZZERS:%=$(B)/host-cover/fuzz-%) $(B)/host-cover/enid
	$(Q)$(MAKE) --no-print-directory COVER=1 cover-programs
	$(Q)$(MAKE) --no-print-directory $(ORACLE)
	$(Q)tests/fuzz/cover $(B)/host-cover build/cover $(ORACLE)

ifndef COVER
TEST_PROGRAMS += $(HOST_FUZZ)
endif
LONG_TESTS += fuzz-long
CHECKS += '/usr/bin/python3 tests/golden/run.py $(H)/enid' 'tests/fuzz/same.py $(B)/enid $(H)' 'tests/fuzz/geneve.py $(B)/enid $(H)/enid' 'make -s fuzz-short FUZZ_SECONDS=20'

.PHONY: cover cover-programs fuzz-short fuzz-same fuzz-afl fuzz-long
