"""Take away from a process what a submission does not need, as far as Linux allows it.

Five layers, each useful without the others: a file system that holds Python, five devices and an
empty home, and nothing else; spaces of its own for processes, shared objects and the network; a
user of its own, or no capabilities; limits of memory, time and file size; and a filter of system
calls, so that it can start, signal and look into no process, nor open a socket.
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

_NEW_MOUNTS, _NEW_IPC, _NEW_USER = 0x20000, 0x8000000, 0x10000000  # of unshare
_NEW_PROCESSES, _NEW_NETWORK = 0x20000000, 0x40000000
_BIND, _RECURSIVE, _PRIVATE, _READ_ONLY, _NO_DEVICES = 0x1000, 0x4000, 1 << 18, 1, 0x6  # of mount
_MOUNT_SETATTR = 442  # the same number on all processors
_SYSTEM = {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "dev", "sys", "proc"}
_SYSTEM |= {"nix", "gnu", "snap"}  # where some systems keep their libraries
_DEVICES = ("null", "zero", "full", "random", "urandom")

# system calls that are refused: numbers on x86-64, and on ARM
_REFUSED = {
    "fork vfork clone execve execveat": ((57, 58, 56, 59, 322), (220, 221, 281)),
    "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo": (
        (62, 200, 234, 129, 297),
        (129, 130, 131, 138, 240),
    ),
    "ptrace process_vm_readv process_vm_writev kcmp get_robust_list": (
        (101, 310, 311, 312, 274),
        (117, 270, 271, 272, 100),
    ),
    "prctl prlimit64 setsid setpgid vhangup personality": (
        (157, 302, 112, 109, 153, 135),
        (167, 261, 157, 154, 58, 92),
    ),
    "setpriority sched_setparam sched_setscheduler sched_setaffinity sched_setattr ioprio_set": (
        (141, 142, 144, 203, 314, 251),
        (140, 118, 119, 122, 274, 30),
    ),
    "migrate_pages move_pages fanotify_init syslog flock": (
        (256, 279, 300, 103, 73),
        (238, 239, 262, 116, 32),
    ),
    "socket socketpair connect": ((41, 53, 42), (198, 199, 203)),
    "mount umount2 unshare setns chroot pivot_root": (
        (165, 166, 272, 308, 161, 155),
        (40, 39, 97, 268, 51, 41),
    ),
    "shmget shmat shmctl": ((29, 30, 31), (194, 196, 195)),
    "semget semop semctl semtimedop": ((64, 65, 66, 220), (190, 193, 191, 192)),
    "msgget msgsnd msgrcv msgctl mq_open mq_unlink": (
        (68, 69, 70, 71, 240, 241),
        (186, 189, 188, 187, 180, 181),
    ),
    "bpf perf_event_open userfaultfd keyctl add_key request_key memfd_create": (
        (321, 298, 323, 250, 248, 249, 319),
        (280, 241, 282, 219, 217, 218, 279),
    ),
    # pidfd_send_signal, io_uring_*, open_tree, move_mount, fsopen, pidfd_open, clone3,
    # pidfd_getfd, process_madvise, memfd_secret, process_mrelease
    "the same numbers everywhere": (
        (424, 425, 426, 427, 428, 429, 430, 434, 435, 438, 440, 447, 448),
    )
    * 2,
    "mount_setattr": ((_MOUNT_SETATTR,),) * 2,
}
# calls of which only these commands are let through: none that makes the kernel send signals, or
# types into a terminal
_COMMANDS = {
    "fcntl": ((72, 25), (0, 1, 2, 3, 1030, 1032)),  # duplicates, and flags; no locks
    "ioctl": ((16, 29), (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),  # is it a terminal, ...
}
_SET_FLAGS, _ASYNC = 4, 0x2000  # of fcntl: may be set, but not to send signals
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, audit number


def confine(limits: dict[str, Any]) -> list[str]:
    """Give up what the code does not need; return what could be given up.

    On Linux this returns in a child: the first process of a space of its own, in which there is
    nobody to signal. Its parent waits, and ends with it.
    """
    held: list[str] = []
    try:
        import resource
    except ImportError:  # Windows
        return held
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    if libc is not None:
        _write("/proc/self/oom_score_adj", "1000")  # where memory runs out, this process goes first
        root = os.geteuid() == 0
        held += _new_spaces(libc, root, limits["hidden"])
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


def _new_spaces(libc: ctypes.CDLL, root: bool, hidden: list[str]) -> list[str]:
    """Leave the machine's network, files, objects and processes; return what was left."""
    user, group = os.getuid(), os.getgid()
    spaces = _NEW_NETWORK | _NEW_MOUNTS | _NEW_IPC | _NEW_PROCESSES
    if libc.unshare(spaces | (0 if root else _NEW_USER)) != 0:
        return []
    if not root:  # the same user in the new namespace, or it could write nothing
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    libc.prctl(1, ctypes.c_ulong(9), 0, 0, 0)  # ends with the grader
    held = ["network", *(["files"] * _only_python(libc, os.getcwd(), hidden))]
    child = os.fork()  # it is the first in the new space of processes
    if child:
        os.closerange(0, 256)  # the pipes end with the child
        os.waitpid(child, 0)
        os._exit(0)
    return [*held, "processes"]


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
        elif os.path.isfile(folder) and not os.path.islink(folder):
            libc.mount(b"/dev/null", os.fsencode(folder), None, _BIND, None)
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
    done &= _own_devices(libc, empty)
    for folder in ("/sys", "/proc"):  # of others: memory, arguments
        done &= empty(folder, _NO_DEVICES | _READ_ONLY, "size=4k") == 0
    os.chdir(home)
    return bool(done)


def _own_devices(libc: ctypes.CDLL, empty: Any) -> bool:
    """Cover /dev, with its terminals and shared memory, by five harmless devices."""
    kept = {name: os.open(f"/dev/{name}", os.O_PATH) for name in _DEVICES}
    done = empty("/dev", _NO_DEVICES, "size=64k,mode=755") == 0
    for name, descriptor in kept.items():
        path = f"/dev/{name}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        source = f"/proc/self/fd/{descriptor}".encode()
        done &= libc.mount(source, path.encode(), None, _BIND, None) == 0
        os.close(descriptor)
    again = _READ_ONLY | _NO_DEVICES | 0x20  # MS_REMOUNT
    return bool(done & (libc.mount(b"tmpfs", b"/dev", b"tmpfs", again, b"size=64k") == 0))


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
    for both, commands in _COMMANDS.values():
        program += _commands_of(both[column], commands, refuse, allow)
    code = b"".join(struct.pack("HBBI", *line) for line in [*program, allow])
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    return libc.prctl(22, ctypes.c_ulong(2), head, 0, 0) == 0  # PR_SET_SECCOMP


def _commands_of(number: int, commands: tuple[int, ...], refuse: Any, allow: Any) -> list[Any]:
    """Look at the second argument of a call: only these commands go through."""
    lines = [(0x20, 0, 0, 24)]  # the second argument; the third is at 32
    if _SET_FLAGS not in commands and 0 in commands:  # fcntl
        flags = [(0x20, 0, 0, 32), (0x45, 0, 1, _ASYNC), refuse, allow]
        lines += [(0x15, 0, len(flags), _SET_FLAGS), *flags]
    for command in commands:
        lines += [(0x15, 0, 1, command), allow]
    lines.append(refuse)
    return [(0x15, 0, len(lines), number), *lines]
