# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""VPCs on network namespaces: guests, an internet, and the agent between them.

    netns    namespaces, entered per thread: sockets and programs of any guest from one process
    vpc      desired state from compact descriptions
    fabric   the namespaces, cables and taps that a state asks for; torn down whatever happens
    gates    the state of a VPC with every kind of gateway
    agent    `enid run` and the commands that look at it
    traffic  listeners, clients, sessions, counted streams
    frames   raw frames: build, send, watch, verify checksums
    harness  what a test script is made of
"""
