# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bench: what a packet and a flow cost, each against a reference measured in the same run.

BENCH_BPF := $(wildcard tests/bench/*.bpf.c)
BENCH_SKEL := $(BENCH_BPF:tests/bench/%.bpf.c=$(B)/gen/bench/%.skel.h)
BENCH_OBJ := $(patsubst %.c,$(O)/%.o,$(filter-out %.bpf.c,$(wildcard tests/bench/*.c)))

$(B)/gen/bench/%.skel.h: tests/bench/%.bpf.c tests/bench/ref.h
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c $< -o $(@:.skel.h=.o)
	$(Q){ echo '/* NOLINTBEGIN: made by bpftool */'; $(BPFTOOL) gen skeleton $(@:.skel.h=.o) name $*_bpf; \
		echo '/* NOLINTEND */'; } > $@

$(BENCH_OBJ): | $(BENCH_SKEL)

# kept apart from the general rule for tests: several objects, no cmocka
$(B)/tests/bench/bench: $(BENCH_OBJ) $(LIB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) $^ $(LDLIBS) -o $@

bench: $(B)/tests/bench/bench ## costs against their references, one line a metric (root)
	$(Q)$(B)/tests/bench/bench

bench-publish: all ## from changed file to enforced, in states of 10,000 ENIs and 100,000 rules (root; minutes)
	$(Q)tests/bench/publish.py --layout vpcs
	$(Q)tests/bench/publish.py --layout one

.PHONY: bench bench-publish
