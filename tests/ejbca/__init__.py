# SPDX-License-Identifier: Apache-2.0
"""A stand-in for EJBCA, whose REST interface it speaks: a process of its own, for tests.

No EJBCA can be run here, so this is what the plugin ``ejbca`` of km is tried on. It was written from
what is publicly known of EJBCA, its traps first, and shares nothing with the plugin: it has a parser and
models of its own. It issues real certificates, keeps everything in memory, and does wrong when it is
told to by a second port, which only tests have.

Not here: the second version of searching, lists of what expires, key stores that EJBCA makes, and the
many calls that no client of a key manager makes.
"""
