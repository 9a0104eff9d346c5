"""Take away from a process what a submission does not need, as far as Linux allows it.

Four layers, each useful without the others: a file system that holds Python and an empty home
and nothing else; a user of its own, or no capabilities; limits of memory, time and file size; and
a filter of system calls, so that it can start, signal and look into no process, nor open a socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import site
import struct
import sys
from typing import Any

_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x20000, 0x10000000, 0x40000000  # of unshare
_BIND, _RECURSIVE, _PRIVATE, _READ_ONLY, _NO_DEVICES = 0x1000, 0x4000, 1 << 18, 1, 0x6  # of mount
_MOUNT_SETATTR = 442  # the same number on all processors
_SYSTEM = {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "dev", "sys", "proc"}
_SYSTEM |= {"nix", "gnu", "snap"}  # where some systems keep their libraries

# system calls that are refused: numbers on x86-64, and on ARM
_REFUSED = {
    "fork vfork clone execve": ((57, 58, 56, 59), (220, 221)),
    "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo": (
        (62, 200, 234, 129, 297),
        (129, 130, 131, 138, 240),
    ),
    "ptrace process_vm_readv process_vm_writev": ((101, 310, 311), (117, 270, 271)),
    "prctl prlimit64 setsid setpgid": ((157, 302, 112, 109), (167, 261, 157, 154)),
    "setpriority sched_setaffinity": ((141, 203), (140, 122)),
    "socket socketpair connect": ((41, 53, 42), (198, 199, 203)),
    "mount umount2 unshare setns chroot pivot_root": (
        (165, 166, 272, 308, 161, 155),
        (40, 39, 97, 268, 51, 41),
    ),
    "shmget msgget semget mq_open": ((29, 68, 64, 240), (194, 186, 190, 180)),
    "bpf perf_event_open userfaultfd keyctl add_key execveat memfd_create": (
        (321, 298, 323, 250, 248, 322, 319),
        (280, 241, 282, 219, 217, 281, 279),
    ),
    "pidfd_send_signal io_uring_setup open_tree move_mount fsopen pidfd_open clone3 pidfd_getfd": (
        (424, 425, 428, 429, 430, 434, 435, 438),
    )
    * 2,
    "mount_setattr": ((_MOUNT_SETATTR,),) * 2,
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, audit number


def confine(limits: dict[str, Any]) -> list[str]:
    """Give up what the code does not need; return what could be given up."""
    held: list[str] = []
    try:
        import resource
    except ImportError:  # Windows
        return held
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None:
        _write("/proc/self/oom_score_adj", "1000")  # where memory runs out, this process goes first
        root = os.geteuid() == 0
        user, group = os.getuid(), os.getgid()
        spaces = _NEW_NETWORK | _NEW_MOUNTS | (0 if root else _NEW_USER)
        if libc.unshare(spaces) == 0:
            held.append("network")
            if not root:  # the same user in the new namespace, or it could write nothing
                _write("/proc/self/setgroups", "deny")
                _write("/proc/self/uid_map", f"{user} {user} 1")
                _write("/proc/self/gid_map", f"{group} {group} 1")
            held += ["files"] * _only_python(libc, os.getcwd(), limits["hidden"])
        if root:
            os.setgroups([])
            os.setgid(limits["uid"])
            os.setuid(limits["uid"])
        for option, value in ((38, 1), (1, 9), (4, 0)):  # no new rights; die with the grader;
            libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0)  # none of its own looks in
    for limit, size in (
        ("RLIMIT_AS", limits["memory"]),
        ("RLIMIT_FSIZE", limits["file"]),
        ("RLIMIT_CPU", limits["cpu"]),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_NPROC", 0),  # neither processes nor threads
        ("RLIMIT_CORE", 0),
    ):
        if hasattr(resource, limit) and sys.platform != "darwin":
            resource.setrlimit(getattr(resource, limit), (size, size))
            held.append(limit)
    if libc is not None:
        nobody = struct.pack("Ii", 0x20080522, 0), bytes(24)  # no capability, in any set
        libc.capset(*nobody)
        held += ["calls"] * _filter(libc)
    return held


def _write(path: str, text: str) -> None:
    with contextlib.suppress(OSError), open(path, "w") as file:
        file.write(text)


def _only_python(libc: ctypes.CDLL, home: str, hidden: list[str]) -> bool:
    """Cover all that is not Python or the system, make the rest read-only, and add a small home."""

    def empty(folder: str, flags: int, options: str) -> int:
        return libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options.encode())

    libc.mount(None, b"/", None, _PRIVATE | _RECURSIVE, None)
    kept = {path: os.open(path, os.O_PATH) for path in _python()}
    for name in os.listdir("/"):
        folder = f"/{name}"
        if name not in _SYSTEM and os.path.isdir(folder) and not os.path.islink(folder):
            empty(folder, _NO_DEVICES, "size=1m,mode=755")
    for path, descriptor in kept.items():
        if not os.path.exists(path):
            os.makedirs(path)
            source = f"/proc/self/fd/{descriptor}".encode()
            libc.mount(source, os.fsencode(path), None, _BIND | _RECURSIVE, None)
        os.close(descriptor)
    os.makedirs(home, exist_ok=True)
    read_only = (ctypes.c_uint64 * 4)(1, 0, 0, 0)  # struct mount_attr: MOUNT_ATTR_RDONLY
    size = ctypes.sizeof(read_only)
    done = libc.syscall(_MOUNT_SETATTR, -100, b"/", 0x8000, read_only, size) == 0
    copies = {os.path.join(path, "minidlrm") for path in sys.path if path}  # with their notebooks
    for folder in filter(os.path.isdir, copies | set(hidden)):
        done &= empty(folder, _NO_DEVICES | _READ_ONLY, "size=4k") == 0
    done &= empty(home, _NO_DEVICES, "size=64m,mode=777") == 0
    done &= empty("/proc", _NO_DEVICES | _READ_ONLY, "size=4k") == 0  # of others: memory, arguments
    os.chdir(home)
    return bool(done)


def _python() -> list[str]:
    """Return the folders that Python imports from, the outer ones first."""
    import numpy as np

    folders = [sys.prefix, sys.exec_prefix, sys.base_prefix, *site.getsitepackages()]
    folders += [site.getusersitepackages(), os.path.dirname(os.path.dirname(np.__file__))]
    found = {each for path in folders for each in (path, os.path.realpath(path))}
    return sorted(path for path in found if path != "/" and os.path.isdir(path))


def _filter(libc: ctypes.CDLL) -> bool:
    """Refuse `_REFUSED` with EPERM, by a program of seccomp; it cannot be taken off again."""
    if platform.machine() not in _MACHINES:
        return False
    column, machine = _MACHINES[platform.machine()]
    refuse, allow = (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)
    program = [(0x20, 0, 0, 4), (0x15, 1, 0, machine), refuse]  # of another processor: refused
    program += [(0x20, 0, 0, 0), (0x35, 0, 1, 0x40000000), refuse]  # the x32 numbers, too
    for numbers in _REFUSED.values():
        for number in numbers[column]:
            program += [(0x15, 0, 1, number), refuse]  # next line where it is not this one
    code = b"".join(struct.pack("HBBI", *line) for line in [*program, allow])
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    return libc.prctl(22, ctypes.c_ulong(2), head, 0, 0) == 0  # PR_SET_SECCOMP
