"""What Caddy says of errors, of either age."""

from __future__ import annotations

import json

from cyan.names import Server
from cyan.proxies import error_log
from tests.rollout.worlds import settings


def test_an_answer_that_was_cut_off_is_told_by_an_old_caddy_and_by_a_later_one() -> None:
    wanted = settings().model_copy(update={"server": Server.CADDY})
    cut = {"ts": 1.5, "msg": error_log.ABORTED}
    lines = [
        {"level": "error", **cut},  # 2.6
        {"level": "warn", **cut},  # 2.11
        {"level": "error", "ts": 2.0, "msg": "dial tcp: connection refused"},
        {"level": "warn", "ts": 3.0, "msg": "HTTP/3 skipped because it requires TLS"},
        {"level": "info", "ts": 4.0, "msg": f"a page about {error_log.ABORTED}, asked for"},
    ]
    said = "\n".join(["starting", *(json.dumps(line, separators=(",", ":")) for line in lines)])
    told = [json.loads(line)["ts"] for line in error_log.lines(wanted, said)]
    assert told == [1.5, 1.5, 2.0]
