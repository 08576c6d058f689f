# SPDX-License-Identifier: Apache-2.0
"""What processes have used: CPU time and resident memory, as Linux counts them."""
import os
import time
from collections.abc import Iterable
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes that a process has forked."""
    return [int(child) for child in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]


def cpu_seconds(pids: Iterable[int]) -> dict[int, float]:
    """User and system time of each process so far, in all its threads.

    It is what /proc/PID/stat says, without being rounded to hundredths: the clock that
    clock_getcpuclockid(3) gives for a process. Those that are gone are left out.
    """
    found = {}
    for pid in pids:
        try:
            found[pid] = time.clock_gettime((~pid << 3) | 2)
        except OSError:
            continue
    return found


def cpu_between(before: dict[int, float], after: dict[int, float]) -> float:
    """CPU seconds used between two readings, by those in the second one."""
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def family_cpu_seconds(pid: int) -> float:
    """User and system time so far of all processes that one forked, those that ended included."""
    ended = sum(map(int, _stat(pid)[13:15])) / os.sysconf('SC_CLK_TCK')
    return ended + sum(cpu_seconds(children(pid)).values())


def parent(pid: int) -> int:
    """The process that forked this one."""
    return int(_stat(pid)[1])


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on; the second may have spaces in it."""
    return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MB of 10**6 bytes."""
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) * 1024 / 1e6
    raise ValueError(f'/proc/{pid}/status has no VmRSS')
