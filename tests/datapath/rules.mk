# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Tests of the datapath that are linked in their own way.

$(B)/tests/datapath/test_apply: override LDFLAGS += -Wl,--wrap=malloc
# nobody else is at its maps: what waits for packets that are under way need not
$(B)/tests/datapath/test_kills: override LDFLAGS += -Wl,--wrap=datapath_grace
