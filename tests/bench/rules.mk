# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bench: what a packet and a flow cost, each against a reference measured in the same run.

BENCH_BPF := $(wildcard tests/bench/*.bpf.c)
BENCH_SKEL := $(BENCH_BPF:tests/bench/%.bpf.c=$(B)/gen/bench/%.skel.h)
BENCH_OBJ := $(patsubst %.c,$(O)/%.o,$(filter-out %.bpf.c %/wires.c %/load.c %/connect.c %/cable.c,$(wildcard tests/bench/*.c)))

$(B)/gen/bench/%.skel.h: tests/bench/%.bpf.c $(wildcard tests/bench/*.h)
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $(@:.skel.h=.o)
	$(Q){ echo '/* NOLINTBEGIN: made by bpftool */'; $(BPFTOOL) gen skeleton $(@:.skel.h=.o) name $*_bpf; \
		echo '/* NOLINTEND */'; } > $@

$(BENCH_OBJ) $(O)/tests/bench/wires.o: | $(BENCH_SKEL)

# kept apart from the general rule for tests: several objects, no cmocka
$(B)/tests/bench/bench: $(BENCH_OBJ) $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

$(B)/tests/bench/wires: $(O)/tests/bench/core.o

$(B)/tests/bench/wires $(B)/tests/bench/load $(B)/tests/bench/connect $(B)/tests/bench/cable: $(B)/tests/bench/%: $(O)/tests/bench/%.o $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

BENCH := $(addprefix $(B)/tests/bench/,bench wires connect cable) $(B)/enid

bench: $(BENCH) ## enid against what could be used instead, one line a metric; results in build/bench (root)
	$(Q)ENID_BUILD=$(B) tests/bench/suite.py

bench-full: $(BENCH) ## the same with all sizes and more rounds, and its curves; BENCH_PARTS=WORD,... only these (root)
	$(Q)ENID_BUILD=$(B) tests/bench/suite.py --full $(if $(BENCH_PARTS),--only $(BENCH_PARTS))

bench-numbers: ## the last results into README.md and ARCHITECTURE.md, with the picture
	$(Q)ENID_BUILD=$(B) tests/bench/documents.py --write

bench-runs: $(B)/tests/bench/bench ## programs against programs only, in seconds (root)
	$(Q)$<

# Instructions that the verifier walks, and instructions as loaded, by program: what may not grow unseen.
verifier-cost: $(B)/enid $(B)/tests/bench/load ## tests/bench/verifier.txt from this kernel (root)
	$(Q)tests/bench/verifier.py --write $(B)/tests/bench/load $(B)/gen/enid.bpf.o

TEST_PROGRAMS += $(B)/tests/bench/load $(B)/tests/bench/bench
CHECKS += 'tests/bench/verifier.py $(B)/tests/bench/load $(B)/gen/enid.bpf.o' '$(B)/tests/bench/bench floods'

.PHONY: bench bench-full bench-numbers bench-runs verifier-cost

bench-edits: all ## from changed file to enforced, each kind of edit, 10,000 ENIs and 100,000 rules (root; minutes)
	$(Q)tests/bench/edits.py --layout vpcs
	$(Q)tests/bench/edits.py --layout one

.PHONY: bench-edits
