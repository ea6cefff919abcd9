"""Run a command and say what it took: by its path, as a process of its own.

A process counts as its peak the memory of whoever it was forked from, which is that of the whole
bench (Linux keeps the larger of both across exec: fs/exec.c, setmax_mm_hiwater_rss). So it is
forked from this one, which imports next to nothing.
"""

import json
import resource
import subprocess
import sys

if __name__ == "__main__":
    told, *command = sys.argv[1:]
    code = subprocess.call(command)  # noqa: S603 - our own scripts
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(told, "w") as file:  # noqa: PTH123 - pathlib takes memory that would be counted
        seconds = usage.ru_utime + usage.ru_stime
        json.dump({"code": code, "cpu": seconds, "memory": usage.ru_maxrss * 1024}, file)
