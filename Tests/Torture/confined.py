"""confined.py CALLS PROGRAM ARGUMENT…: becomes the program with nothing but these system calls; imports none of its neighbours."""

import ctypes
import os
import sys

# linux/prctl.h, sys/mman.h
PR_SET_NO_NEW_PRIVS, PROT_WRITE, PROT_EXEC = 38, 2, 4
# seccomp.h
ALLOW, ERRNO_EPERM, ERRNO_ENOSYS, MASKED_EQ = 0x7fff0000, 0x00050001, 0x00050026, 7


class Comparison(ctypes.Structure):
    _fields_ = [("argument", ctypes.c_uint), ("operation", ctypes.c_int), ("first", ctypes.c_uint64),
                ("second", ctypes.c_uint64)]


def confine(allowed):
    """What the unit does to a process, as far as it can be done to oneself before execve(2)."""
    libc, seccomp = ctypes.CDLL(None, use_errno=True), ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    context = ctypes.c_void_p(seccomp.seccomp_init(ERRNO_EPERM))

    def rule(call, *comparisons, action=ALLOW):
        number = seccomp.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:
            array = (Comparison * len(comparisons))(*comparisons)
            assert seccomp.seccomp_rule_add_array(context, action, number, len(comparisons), array) == 0, call

    # MemoryDenyWriteExecute= and RestrictNamespaces= are rules of the filter, too; systemd.exec(5) says which.
    for call in allowed - {"mmap", "mmap2", "mprotect", "pkey_mprotect", "clone3", "setns", "unshare", "shmat"}:
        rule(call)
    rule("clone3", action=ERRNO_ENOSYS)
    rule("mmap", Comparison(2, MASKED_EQ, PROT_EXEC, 0))
    rule("mmap", Comparison(2, MASKED_EQ, PROT_WRITE, 0))
    for call in ("mprotect", "pkey_mprotect"):
        rule(call, Comparison(2, MASKED_EQ, PROT_EXEC, 0))
    assert seccomp.seccomp_load(context) == 0


if __name__ == "__main__":
    confine(set(sys.argv[1].split()))
    os.execv(sys.argv[2], sys.argv[2:])
