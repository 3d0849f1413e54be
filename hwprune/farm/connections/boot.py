"""The first text that Python on a board runs: it takes the device package from stdin to memory.

Sent as `python3 -B -c TEXT SIZE [survey PACKAGE ... | ARGUMENTS ...]`; SIZE bytes of a zip follow
on stdin. A Python that is too old must still read this far to say so: nothing here is newer than
Python 3.6. The text passes a shell of unknown kind, so it holds neither backslashes nor single
quotes nor exclamation marks.
"""

import importlib
import os
import sys

MARKER = bytes([0]) + b"hwprune: frames follow" + bytes([0])
"""Ends whatever a login shell or a start-up file printed before; frames come after it."""


def take_package(size: int) -> str:
    """Read the zip file from stdin into memory; a path to import from, good for children too.

    Raises:
        EOFError: the head went away.
    """
    fd = os.memfd_create("hwprune_device.zip")
    while size > 0:
        # Not through sys.stdin: its buffer would swallow the first frames.
        part = os.read(0, min(size, 65536))
        if not part:
            raise EOFError("the head went away before it had sent the device package")
        size -= os.write(fd, part)
    return "/proc/self/fd/" + str(fd)


def main(arguments: "list[str]") -> int:
    """Run the device package with the arguments after the size."""
    version = tuple(sys.version_info)
    if version < (3, 10):
        found = ".".join(map(str, version[:3]))
        print("a board needs Python 3.10 or newer; this is Python " + found, file=sys.stderr)
        return 3
    # ONNX Runtime 1.29 and later else sends what it runs to its maker, and keeps files for that.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    # Without the entry for the current folder: a numpy.py in a home folder is not numpy.
    sys.path[:] = [take_package(int(arguments[0]))] + [path for path in sys.path if path]
    # No shell has seen these words, so a leading ~ is still to be read.
    words = [os.path.expanduser(word) for word in arguments[1:]]
    if words[:1] == ["survey"]:
        survey = importlib.import_module("hwprune_device.survey")
        os.write(1, MARKER)
        return int(survey.main(*words[1:]) or 0)
    supervisor = importlib.import_module("hwprune_device.__main__")
    os.write(1, MARKER)
    return int(supervisor.main(words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
