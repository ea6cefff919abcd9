"""Whether the host's user may work in the application's directory, and how users share it."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath

from cyan.errors import HostError

MAY_WORK = r"""
denied() { # what may not be read or written: whose it is, who we are, the group that may have it
  group=docker; getent group docker >/dev/null || group=$(stat -c %G .)
  id -Gn | tr ' ' '\n' | grep -qxF "$group" && in=yes || in=no
  whose=$(stat -c '%U %G %a' "$1" 2>/dev/null) || whose="? ? ?"
  printf 'denied %s %s %s %s %s\n' "$whose" "$(id -un)" "$group" $in "$1"; exit 1
}
why=$(cd "$1" 2>&1) || case $why in
  *"ermission denied"*) denied "$1" ;;
  *) echo "absent"; exit 1 ;;
esac
cd "$1"
for each in . traffic shared shared/proxy releases releases/*/ lock journal.jsonl; do
  if [ -e "$each" ] && ! [ -w "$each" ]; then denied "$each"; fi
done
for each in shared/.env releases/*/.env releases/*/secrets.env; do
  if [ -e "$each" ] && ! [ -r "$each" ]; then denied "$each"; fi
done
"""
"""For bash: goes to the directory $1; where the user may not work there, says so and exits.

What it says is for `denied`, or is `absent` where there is no such directory.
"""


def denied(content: str, directory: str, where: str) -> HostError:
    """The error of a user who may not work in the application's directory; how to share it."""
    owner, group, mode, user, sharing, member, path = content.split(" ", 6)
    root, own = shlex.quote(directory), ". shared shared/proxy"
    steps = (  # only what is cyan's own: a database may keep its files in a folder beside
        f"cd {root}",
        f"find traffic releases -exec chgrp {sharing} {{}} + -exec chmod g+rwX {{}} +",
        "find traffic releases -type d -exec chmod g+s {} +",
        f"chgrp {sharing} {own}",
        f"chmod g+rwxs {own}",
        f"find {own} -maxdepth 1 -type f -exec chgrp {sharing} {{}} + -exec chmod g+rw {{}} +",
        *([] if member == "yes" else [f"usermod -aG {sharing} {user}"]),
    )
    return HostError(
        f"{user} may not work with {PurePosixPath(directory) / path}, which belongs to "
        f"{owner}:{group} (mode {mode})",
        where=where,
        todo=f"nothing was touched; as root on the host: {' && '.join(steps)}",
    )
