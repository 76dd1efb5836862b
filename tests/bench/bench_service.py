"""The services: memory when idle."""
import time

from figures import figure, pss_kib, tree


def idle_footprint(stack, _scratch):
    """Proportional set size of all processes, after a crash was processed and quiet returned."""
    stack.sample_id
    time.sleep(5)
    by_server = {}
    for server in ("httpd", "salvaged", "postgres"):
        by_server[server] = sum(pss_kib(p) for p in tree(stack.pid(server))) / 1024
    total = sum(by_server.values())
    parts = ", ".join(f"{k} {v:.1f}" for k, v in by_server.items())
    figure("idle_pss", total, 150, "<=1", "MiB", f"httpd + salvaged + PostgreSQL idle ({parts})")


BENCHES = [idle_footprint]
