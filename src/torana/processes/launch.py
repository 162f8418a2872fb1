"""Becomes another program that ends when the process that started it ends.

Run as a script by its path (`python -I -S launch.py PARENT_PID ARGV0 -- program argument ...`): it
asks the kernel for a SIGTERM at the parent's death and then *is* the program, with the same pid.
A child of its own between fork and exec would need `preexec_fn`, which may deadlock in a process
with threads; a script cannot. It imports next to nothing because every start pays for it.

Only Linux has that signal (`PR_SET_PDEATHSIG`, prctl(2)). Elsewhere the script becomes the program
directly, and only `guard_process` ends the tree. Two rules of the kernel bind the caller: the
signal belongs to the *thread* that started the child, so that thread must live as long as the
process; and it is not inherited over a fork, so processes that fork call `die_with_parent`
themselves.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CANNOT_EXECUTE = 127
"""The exit code by which shells say that a program could not be started."""


def die_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """Let the kernel send `number` to this process when its parent ends; Linux only.

    Args:
        parent: the pid of the process that forked us. If it is gone before the kernel knows our
            wish, nobody would send the signal: then this process exits at once.
        number: the signal.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 -- it costs 8 ms, and other systems have no use for it

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def main(arguments: list[str]) -> None:
    """Become `arguments[3:]`, seen by `ps` under the name `arguments[1]`; never returns."""
    parent, argv0, separator, *argv = arguments
    if separator != "--" or not argv:
        sys.exit("usage: launch.py PARENT_PID ARGV0 -- program argument ...")
    die_with_parent(int(parent))
    # Python ignores these two, and an ignored signal stays ignored over exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(argv[0], [argv0 or argv[0], *argv[1:]])  # noqa: S606 -- to exec is its purpose
    except OSError as error:
        sys.stderr.write(f"cannot execute {argv[0]}: {error.strerror}\n")
        sys.exit(CANNOT_EXECUTE)


if __name__ == "__main__":
    main(sys.argv[1:])
