"""Hostile code, and what must come of it; run by itself, it prints what came of each, as JSON.

    python tests/hostile_submissions.py FOLDER

`test_grading_hostile.py` runs it as the user of the tests and, where that is root, also as an
ordinary user. Each body is that of a function; "refused" means an exception or -1 in every place.
"""

import json
import sys
from pathlib import Path

CALLS = "import ctypes, os\nl = ctypes.CDLL(None, use_errno=True)\n"
PIPE = CALLS + "r, w = os.pipe()\n"

REFUSED = {
    # the kernel must not signal others for it, in any way of asking
    "owner of a pipe": PIPE
    + "return [l.fcntl(r, 8, 1), l.fcntl(r, 10, 9), l.fcntl(r, 15, bytes(8))]",
    "asynchronous pipe": PIPE
    + "return [l.fcntl(r, 4, 0x2000), l.ioctl(r, 0x5452, b'\\1\\0\\0\\0')]",
    "owner by ioctl": PIPE + "return [l.ioctl(r, 0x8901, bytes(4)), l.ioctl(r, 0x8902, bytes(4))]",
    "notified of a folder": CALLS + "f = os.open('/usr', os.O_RDONLY)\n"
    "return [l.fcntl(f, 1026, 1), l.fcntl(f, 1024, 0)]",
    "high bits of a command": PIPE
    + "return [l.syscall(72, r, ctypes.c_ulong(1 << 32 | 8), ctypes.c_ulong(1))]",
    # the time of others
    "scheduling": CALLS
    + "return [l.sched_setscheduler(0, 3, bytes(8)), l.syscall(142, 0, bytes(8)),\n"
    "    l.syscall(251, 1, 0, 0), l.setpriority(2, 0, 5), l.syscall(314, 0, bytes(48), 0)]",
    "a processor of its own": "os.sched_setaffinity(0, {0})",
    # objects that outlive a process
    "shared memory": CALLS
    + "return [l.shmget(5, 10, 0o1666), l.shmctl(0, 2, None), l.shmat(0, 0, 0)]",
    "semaphores": CALLS + "return [l.semget(5, 1, 0o1666), l.semctl(0, 0, 0), l.semop(0, None, 0)]",
    "messages": CALLS
    + "return [l.msgget(5, 0o1666), l.msgctl(0, 2, None), l.syscall(240, b'/x', 66, 0o600, 0)]",
    # other processes
    "the parent": "os.kill(os.getppid() or -1, 9)",
    "the whole group": "os.killpg(0, 9)",
    "a handle of a process": CALLS
    + "return [l.syscall(434, 1, 0), l.syscall(424, 0, 9, 0, 0), l.syscall(440, 0, 0, 0, 0, 0)]",
    "compares processes": CALLS + "return [l.syscall(312, 1, 1, 0, 0, 0), l.ptrace(0, 0, 0, 0)]",
    "numbers of another machine": CALLS
    + "return [l.syscall(0x40000000 | 39), l.syscall(0x40000000 | 57)]",
    "starts a thread": "import threading\nthreading.Thread(target=print).start()",
    # files
    "locks a file of the system": "import fcntl\nfcntl.flock(open('/etc/passwd'), fcntl.LOCK_EX)",
    "locks it by fcntl": "import fcntl\nfcntl.lockf(open('/etc/passwd'), fcntl.LOCK_SH)",
    "writes into numpy": "import numpy\nopen(numpy.__file__, 'a').write('\\n')",
    "mounts again, writable": CALLS
    + "return [l.mount(None, b'/', None, 32, None), l.umount2(b'/dev', 2)]",
    "makes a device": "os.mknod('disk', 0o60666, os.makedev(8, 0))",
    "writes into /dev": "open('/dev/shm_of_mine', 'w')",
    "opens a terminal": "open('/dev/pts/0', 'w')",
    "becomes root": "os.setuid(0) if os.getuid() else os.setgroups([0])\nassert os.getuid() == 0 and not 1",
    "reads the kernel's log": CALLS + "return [l.klogctl(3, bytes(100), 100)]",
    "larger pipe": PIPE + "return [l.fcntl(r, 1031, 1 << 20)]",
}
EMPTY = {  # what is seen of the machine: nothing
    "shared memory": "return os.listdir('/dev/shm') if os.path.exists('/dev/shm') else []",
    "terminals": "return os.listdir('/dev/pts') if os.path.exists('/dev/pts') else []",
    "processes": "return os.listdir('/proc') + os.listdir('/sys')",
    "homes": "return [n for d in ('/home', '/root', '/var') if os.path.isdir(d) for n in os.listdir(d)\n"
    "        if not sys.prefix.startswith(f'{d}/{n}') and not sys.base_prefix.startswith(f'{d}/{n}')]",
    "files beside the system": "return [n for n in os.listdir('/') if os.path.isfile('/' + n) and open('/' + n).read()]",
}
ANSWERS = {  # forged messages: the grader goes on, and believes none of them
    "an error that is an array": {"error": [1.0, 2.0], "words": {"a": 1}, "message": [[]]},
    "an answer that is a list": [1, 2, 3],
    "a call of no function": {"call": 10**6, "arguments": []},
    "a call by a negative number": {"call": -1, "arguments": [1]},
    "a call by a text": {"call": "x", "arguments": 3},
    "a function to invoke": {"value": {"f": 1}},
}


def text_of(bodies):
    parts = ["import os, sys"]
    for k, body in enumerate(bodies):
        inside = body.replace("\n", "\n    ")
        parts.append(f"def f{k}(*arguments):\n    {inside}")
    return "\n".join(parts) + "\n"


def main(folder):
    from minidlrm.grading.sandbox import StudentError, Submission

    file = Path(folder) / "hostile.py"
    file.write_text(text_of([*REFUSED.values(), *EMPTY.values()]), encoding="utf-8")
    came = {}
    with Submission(file, seconds=5, folder=folder) as submission:
        for k, name in enumerate([*REFUSED, *(f"sees {what}" for what in EMPTY)]):
            try:
                came[name] = submission.call(f"f{k}")
            except StudentError as error:
                came[name] = f"refused: {error}"
        came["protections"] = submission.protections
    file.unlink()
    came["left"] = sorted(path.name for path in Path(folder).iterdir())
    print(json.dumps(came, default=str))


if __name__ == "__main__":
    main(sys.argv[1])
