# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What the tests on wires need besides the agent.

TEST_PROGRAMS += $(B)/tests/net/inject
