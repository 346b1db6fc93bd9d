"""Starts lesson 13's service in a process of its own, sends it pictures, and stops it.

The service hangs on a lifeline: it holds the other end of a pipe, and when the kernel that started it is gone, however
it went, the pipe closes and the service ends itself.
"""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np

LIFELINE = """import os, sys, threading, uvicorn
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
uvicorn.run("service:app", port=int(sys.argv[1]), log_level="error")"""
_running = []


def start_service(home, classifier, seconds=60):
    """Start home/service.py on the shipped classifier in the folder `classifier`; return its address.

    It answers /health by then, on a free port of this computer. One that was started before is stopped first. Raises
    RuntimeError, with what the service said, where it ends or does not answer within `seconds`.
    """
    stop_service()
    with socket.create_server(("localhost", 0)) as listener:  # 0: any port that is free
        host, port = listener.getsockname()
    environment = os.environ | {"CLASSIFIER": str(classifier.resolve())}
    settings = {"cwd": home, "env": environment, "start_new_session": True}  # a session: an interrupt does not reach it
    started, log = time.perf_counter(), home / "service.log"
    with log.open("wb") as file:
        command = [sys.executable, "-c", LIFELINE, str(port)]
        _running.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=file, stderr=file, **settings))
    while _running[-1].poll() is None and time.perf_counter() - started < seconds:
        try:
            httpx.get(f"http://{host}:{port}/health", trust_env=False).raise_for_status()
            print(f"the service answers after {time.perf_counter() - started:.1f} s, on port {port}")
            return f"http://{host}:{port}"
        except httpx.TransportError:
            time.sleep(0.05)
    stop_service()
    raise RuntimeError(f"the service did not start: {log.read_text(encoding='utf-8', errors='replace')[-2000:]}")


def stop_service():
    """Stop every service that this kernel has started."""
    while _running:
        process = _running.pop()
        process.kill()
        process.wait()
        process.stdin.close()


def ask(address, content, kind="image/png"):
    """Send a file's bytes to the service at `address` as this content type; return httpx's response."""
    headers = {"Content-Type": kind}
    return httpx.post(f"{address}/predict", content=content, headers=headers, timeout=60, trust_env=False)


def time_requests(address, content, clients, count=256):
    """Return (p50, p95, answers a second) of `count` requests by so many clients at once; the first two in ms."""
    headers, limits = {"Content-Type": "image/png"}, httpx.Limits(max_connections=clients)

    with httpx.Client(base_url=address, limits=limits, timeout=60, trust_env=False) as client:

        def wait(_):
            start = time.perf_counter()
            client.post("/predict", content=content, headers=headers).raise_for_status()
            return 1000 * (time.perf_counter() - start)

        with ThreadPoolExecutor(clients) as crowd:
            list(crowd.map(wait, range(2 * clients)))  # connections are made; not counted
            start = time.perf_counter()
            times = list(crowd.map(wait, range(count)))
            seconds = time.perf_counter() - start
    return *np.quantile(times, (0.5, 0.95)).tolist(), count / seconds
