"""Python tasks with `warm: true`: a fork of the worker's interpreter is told from a fresh one by nothing but its speed,
what is loaded, the seed of string hashes and where things lie in memory."""
import itertools
import json
import os
import re
import signal

import pytest

from support import dag, eventually, parent_of, process_state, wait_pid_gone

numbers = itertools.count()

WARM = "urllib.request"     # loaded in a warm start, before a task imports anything

FACTS = r"""
import sys
loaded = 'urllib.request' in sys.modules
import ctypes, gc, json, locale, os, resource, signal, stat, tempfile, threading
main = {k: repr(v).partition(' at 0x')[0] for k, v in vars(sys.modules['__main__']).items() if k not in (
    'sys', 'loaded', 'ctypes', 'gc', 'json', 'locale', 'os', 'resource', 'signal', 'stat', 'tempfile', 'threading', 'main')}
def fds():
    found = {}
    for name in os.listdir('/proc/self/fd'):
        try:
            target = os.readlink('/proc/self/fd/' + name)
        except OSError:
            continue
        if not target.startswith('/proc'):
            found[int(name)] = target.split(':')[0]
    return found
def stream(s):
    return [s.encoding, s.errors, s.line_buffering, s.write_through, s.seekable(), s.isatty(), s.fileno(), s.mode,
            type(s.buffer).__name__, s.name, s.newlines]
def status(*names):
    lines = dict(line.split(':', 1) for line in open('/proc/self/status'))
    return {name: lines[name].strip() for name in names}
death = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(death), 0, 0, 0)
facts = {
    'cwd': os.getcwd(), 'environ': {k: v for k, v in os.environ.items() if k not in ('PAWL_FENCE', 'PAWL_TASK_ID')},
    'names': list(os.environ), 'c': ctypes.CDLL(None).getenv(b'MINE') != 0,
    'argv': sys.argv, 'path': sys.path, 'flags': str(sys.flags), 'orig_argv': len(sys.orig_argv),
    'executable': sys.executable, 'prefix': [sys.prefix, sys.base_prefix], 'warnoptions': sys.warnoptions,
    'xoptions': sys._xoptions, 'main': main,
    'signals': {n: str(signal.getsignal(n)) for n in signal.valid_signals()}, 'mask': str(signal.pthread_sigmask(0, [])),
    'kernel': status('SigBlk', 'SigIgn', 'SigCgt', 'SigPnd', 'Threads', 'Umask', 'NoNewPrivs', 'Seccomp', 'CapEff', 'Uid', 'Groups'),
    'limits': [resource.getrlimit(n) for n in range(16)], 'death': death.value, 'nice': os.getpriority(0, 0),
    'session': os.getsid(0) == os.getpid(), 'group': os.getpgid(0) == os.getpid(),
    'parent': open(f'/proc/{os.getppid()}/comm').read(), 'comm': open('/proc/self/comm').read(),
    'fds': fds(), 'in': os.readlink('/proc/self/fd/0'), 'out': stat.S_IFMT(os.fstat(1).st_mode),
    'same': os.path.sameopenfile(1, 2), 'streams': [stream(sys.stdin), stream(sys.stdout), stream(sys.stderr)],
    'locale': [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(), sys.getfilesystemencoding()],
    'temp': tempfile.gettempdir(), 'threads': [threading.active_count(), threading.main_thread() is threading.current_thread(),
                                              threading.get_native_id() == os.getpid()],
    'gc': [gc.isenabled(), gc.get_threshold()], 'recursion': sys.getrecursionlimit(), 'switch': sys.getswitchinterval(),
    'hooks': [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__],
    'file': __file__ if '__file__' in globals() else None, 'name': __name__, 'dont': sys.dont_write_bytecode,
    'meta': [type(f).__name__ for f in sys.meta_path], 'cpu': os.times().user + os.times().system < 1,
    'timers': [signal.getitimer(n) for n in range(3)], 'children': open(f'/proc/self/task/{os.getpid()}/children').read(),
    'affinity': len(os.sched_getaffinity(0)), 'oom': open('/proc/self/oom_score_adj').read(), 'module': main.get('__doc__'),
}
print(json.dumps([loaded, facts]))
"""


@pytest.fixture
def one(make_daemon):
    return make_daemon("--workers", "1", "--slots", "2", env={"PATH": "/usr/bin:/bin"}).start()


def fresh():
    return f"warm-{next(numbers)}"


def python(task_id, script, warm=True, **more):
    return {"id": task_id, "type": "python", "script": script, "warm": warm, **more}


def run_of(daemon, *tasks):
    return daemon.execute(fresh(), dag(*tasks))


def task_of(run, task_id):
    return next(task for task in run["tasks"] if task["taskId"] == task_id)


def zygotes(daemon):
    """Interpreters that are children of the daemon's workers and run no task."""
    workers = [int(pid) for pid in open(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read().split()]
    found = []
    for worker in workers:
        for pid in map(int, open(f"/proc/{worker}/task/{worker}/children").read().split()):
            with open(f"/proc/{pid}/cmdline", "rb") as line:
                if b"__import__('os').read" in line.read() and os.getsid(pid) == pid:
                    found.append(pid)
    return found


def zygote(daemon):
    return min(zygotes(daemon))


def test_facts_are_those_of_a_fresh_interpreter(one, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    (work / "facts.py").write_text(FACTS)
    (work / "link.py").symlink_to("facts.py")
    more = {"args": ["a b", "-c", "é"], "workdir": str(work), "env": {"MINE": "1", "TMPDIR": str(work), "ODD": "a=b\n"}}
    for what in (FACTS, "facts.py", str(work / "facts.py"), "link.py", f"../work/facts.py"):
        run = run_of(one, python("warm", what, **more),
                     python("cold", what, warm=False, dependencies=["warm"], **more))
        assert run["state"] == "succeeded", [one.log_of(run["runId"], "warm"), one.log_of(run["runId"], "cold")]
        warm, cold = (json.loads(one.log_of(run["runId"], name)) for name in ("warm", "cold"))
        assert (warm[0], cold[0]) == (True, False)
        assert warm[1] == cold[1]


ENDS = {
    "plain": "print('x')\n",
    "status": "import sys\nprint('x')\nsys.exit(3)\n",
    "status over 255": "import sys\nsys.exit(256 + 5)\n",
    "words": "import sys\nsys.exit('some words')\n",
    "none": "import sys\nsys.exit()\n",
    "at once": "import os\nos._exit(7)\n",
    "error": "def f():\n    g()\ndef g():\n    1 / 0\nf()\n",
    "chained": "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e\n",
    "nested": "try:\n    {}['a']\nexcept KeyError:\n    int('x')\n",
    "group": "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])\n",
    "notes": "e = ValueError(1)\ne.add_note('mind')\nraise e\n",
    "syntax": "def (:\n\n",
    "indent": " x = 1\ny = 2\n",
    "own hook": "import sys\nsys.excepthook = lambda t, v, b: print('hook', t.__name__, v, b.tb_lineno)\n1 / 0\n",
    "term": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n",
    "segv": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
    "abort": "import os, sys\nsys.stderr.write('x')\nos.abort()\n",
    "interrupt": "raise KeyboardInterrupt\n",
    "interrupted": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\nsignal.pause()\n",
    "atexit": "import atexit, sys\natexit.register(print, 'last')\natexit.register(print, 'before')\nsys.exit(4)\n",
    "thread": "import threading\ndef f():\n    threading.main_thread().join()\n    print('thread')\nthreading.Thread(target=f).start()\n",
    "thread error": "import threading\ndef f():\n    1 / 0\nt = threading.Thread(target=f)\nt.start()\nt.join()\n",
    "order": "import os, sys\nfor i in range(50):\n    print(i)\n    print(i, file=sys.stderr)\n    os.write(1, b'w\\n')\n",
    "child": "import subprocess, sys\nprint(subprocess.run(['echo', 'hi'], capture_output=True))\n",
    "fork": "import os\npid = os.fork()\nif not pid:\n    print('child')\n    os._exit(0)\nos.waitpid(pid, 0)\nprint('parent')\n",
    "pool": "import multiprocessing as m\nif __name__ == '__main__':\n    print(m.get_context('fork').Pool(2).map(abs, [-1]))\n",
    "main": "import __main__, sys\nprint(__main__ is sys.modules['__main__'], __main__.__dict__ is globals())\n",
    "pickle": "import pickle\nclass C: pass\nprint(type(pickle.loads(pickle.dumps(C()))))\n",
    "system exit in thread": "import threading, sys\nt = threading.Thread(target=lambda: sys.exit(9))\nt.start()\nt.join()\n",
    "closed": "import sys\nsys.stdout.close()\n",
    "recursion": "def f():\n    f()\ntry:\n    f()\nexcept RecursionError as e:\n    print(e)\n",
    "unraisable": "class C:\n    def __del__(self):\n        1 / 0\nC()\n",
    "last words": "class C:\n    def __init__(self, n):\n        self.n = n\n    def __del__(self):\n        print('del', self.n)\n"
                  "a = C('a')\n_b = C('b')\nc = C('c')\nc.me = c\ndef f(): return a\nprint('end')\n",
    "last words after an error": "class C:\n    def __del__(self):\n        print('del')\ndef f():\n    c = C()\n    1 / 0\nf()\n",
    "bad hook": "import sys\ndef hook(*a):\n    {}['x']\nsys.excepthook = hook\n1 / 0\n",
    "hook that exits": "import sys\nsys.excepthook = lambda *a: sys.exit(5)\n1 / 0\n",
    "big status": "import sys\nsys.exit(2 ** 70)\n",
    "negative status": "import sys\nsys.exit(-1)\n",
    "true": "import sys\nsys.exit(True)\n",
    "own exit": "class E(SystemExit): pass\nraise E(3)\n",
    "atexit error": "import atexit\natexit.register(lambda: 1 / 0)\n",
    "c buffer": "import ctypes\nctypes.CDLL(None).printf(b'from C')\n",
    "no stderr": "import sys\nsys.stderr = None\n1 / 0\n",
    "closed pipe": "import os\nos.close(1)\nprint('x')\n",
    "daemon thread": "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\nprint('x')\n",
    "buffered": "import sys\nopen('/dev/stdout', 'w').write('kept')\nf = open('/dev/stdout', 'w')\nf.write('late')\n",
    "logging": "import logging\nlogging.basicConfig(format='%(levelname)s %(message)s')\nlogging.warning('w')\nlogging.shutdown()\n",
    "executor": "from concurrent.futures import ThreadPoolExecutor as E\ne = E(2)\nf = e.submit(print, 'x')\n",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    print('x')\nasyncio.run(f())\n",
    "warning": "import warnings\nwarnings.warn('w')\n",
    "cookie": "# -*- coding: latin-1 -*-\nprint('\u00e9')\n",
    "future": "from __future__ import annotations\ndef f(x: nope): pass\nprint(f.__annotations__)\n",
    "annotations": "x: int = 1\nprint(__annotations__)\n",
}


@pytest.mark.parametrize("as_file", [False, True])
def test_ends_are_those_of_a_fresh_interpreter(one, tmp_path, as_file):
    tasks = []
    for number, (name, script) in enumerate(ENDS.items()):
        if as_file:
            (tmp_path / f"s{number}.py").write_text(script)
            script = str(tmp_path / f"s{number}.py")
        tasks += [python(f"{name} warm", script), python(f"{name} cold", script, warm=False)]
    tasks.insert(0, python("is it", f"import sys\nassert {WARM!r} in sys.modules\n"))
    run = run_of(one, *tasks)
    assert task_of(run, "is it")["state"] == "succeeded"
    different = []
    for name in ENDS:
        warm, cold = task_of(run, f"{name} warm"), task_of(run, f"{name} cold")
        keys = ("state", "exitCode", "signal", "error", "errorType")
        facts = [[task[key] for key in keys] for task in (warm, cold)]
        logs = [re.sub("0x[0-9a-f]+", "0x", one.log_of(run["runId"], f"{name} {which}")) for which in ("warm", "cold")]
        if facts[0] != facts[1] or logs[0] != logs[1]:
            different.append((name, facts, logs))
    assert not different


def test_nothing_passes_from_task_to_task(one):
    leave = ("import os, sys, random, tempfile, decimal, json, socket, locale, signal, threading\n"
             "os.environ['LEFT'] = 'x'\nsys.path.append('/left')\nsys.left = 1\njson.left = 1\nrandom.seed(1)\n"
             "tempfile.tempdir = '/left'\nsocket.setdefaulttimeout(1)\nos.umask(0)\nos.chdir('/')\n"
             "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\nfd = os.open('/dev/null', 0)\nos.set_inheritable(fd, True)\n"
             "password = 'rosebud' * 3\n")
    look = ("import os, sys, json, random, tempfile, socket, signal\n"
            f"assert {WARM!r} in sys.modules\n"
            "assert 'LEFT' not in os.environ and '/left' not in sys.path and not hasattr(sys, 'left')\n"
            "assert not hasattr(json, 'left') and tempfile.gettempdir() != '/left' and socket.getdefaulttimeout() is None\n"
            "assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL and 'password' not in globals()\n"
            # letter by letter, so that what is looked for is nowhere but where it should not be
            "import re\nletters, found = [101, 98, 117, 100, 114, 111, 115, 101], False\n"
            "for line in open('/proc/self/maps'):\n"
            "    first, last = (int(x, 16) for x in line.split()[0].split('-'))\n"
            "    if ' rw-p' in line:\n"
            "        with open('/proc/self/mem', 'rb', 0) as memory:\n"
            "            memory.seek(first)\n"
            "            try:\n"
            "                text = memory.read(last - first)\n"
            "                found = found or any(list(text[at.end():at.end() + 8]) == letters for at in re.finditer(b'ros', text))\n"
            "            except OSError:\n"
            "                pass\n"
            "assert not found\n"
            "import uuid\nprint(random.random(), uuid.uuid4(), os.urandom(4), next(tempfile._get_candidate_names()))\n")
    run = run_of(one, python("a", leave, env={"SECRET": "rosebudrosebud"}),
                 python("b", look, dependencies=["a"]), python("c", look, dependencies=["b"]))
    assert run["state"] == "succeeded", one.log_of(run["runId"], "b")
    words = [one.log_of(run["runId"], name).split() for name in "bc"]
    assert all(one_word != other for one_word, other in zip(*words))


def test_other_interpreters_are_not_touched(one, tmp_path):
    probe = f"import sys, os\nprint({WARM!r} in sys.modules, os.environ.get('PYTHONPATH'), sys.flags.optimize)\n"
    (tmp_path / "json.py").write_text("mine = True\n")
    (tmp_path / "uses.py").write_text("import json\nprint(json.mine)\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text("print('package')\n")
    run = run_of(one, python("first", probe),
                 python("other", probe, env={"PYTHONPATH": "/nowhere", "PYTHONOPTIMIZE": "1"}, dependencies=["first"]),
                 python("shadow", "uses.py", workdir=str(tmp_path), dependencies=["first"]),
                 python("inline", "import json\nprint(json.mine)\n", workdir=str(tmp_path), dependencies=["first"]),
                 python("package", "package", workdir=str(tmp_path), dependencies=["first"]),
                 python("missing", "nowhere.py", workdir=str(tmp_path), dependencies=["first"]),
                 python("missing cold", "nowhere.py", warm=False, workdir=str(tmp_path), dependencies=["first"]),
                 python("workdir", probe, workdir=str(tmp_path / "no"), dependencies=["first"]),
                 python("workdir cold", probe, warm=False, workdir=str(tmp_path / "no"), dependencies=["first"]))
    log = {name: one.log_of(run["runId"], name) for name in (
        "first", "other", "shadow", "inline", "package", "missing", "missing cold")}
    assert log["first"] == "True None 0\n" and log["other"] == "False /nowhere 1\n"
    assert log["shadow"] == "True\n" and log["inline"] == "True\n" and log["package"] == "package\n"
    assert log["missing"] == log["missing cold"] and task_of(run, "missing")["exitCode"] == 2
    assert task_of(run, "workdir")["error"] == task_of(run, "workdir cold")["error"]
    assert task_of(run, "workdir")["errorType"] == "exec"


def test_timeout_and_cancel_reach_it(one, gate):
    arrived = gate()
    stubborn = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\nwhile True:\n    signal.pause()\n"
    run_of(one, python("first", "print(1)\n"))
    run = run_of(one, python("late", stubborn, timeout="3s"))
    late = task_of(run, "late")
    assert late["state"] == "failed" and late["errorType"] == "timeout"
    assert one.log_of(run["runId"], "late") == "asked\n"
    made = one.create(fresh(), dag(python("wait", f"import subprocess\nsubprocess.run(['sh', '-c', {arrived.command()!r}])\n")))
    run = one.trigger(made["id"])
    arrived.wait_arrival()
    one.send("POST", f"/api/v1/runs/{run}/cancel")
    assert one.wait_run(run)["state"] == "canceled"


def test_it_ends_with_its_worker_and_is_made_again(one):
    probe = f"import sys\nprint({WARM!r} in sys.modules)\n"
    run_of(one, python("a", probe))
    first = zygote(one)
    os.kill(first, signal.SIGKILL)
    wait_pid_gone(first)
    run = run_of(one, python("a", probe), python("b", probe, dependencies=["a"]))
    assert run["state"] == "succeeded" and one.log_of(run["runId"], "b") == "True\n"
    second = zygote(one)
    assert second != first
    os.kill(parent_of(second), signal.SIGKILL)
    wait_pid_gone(second)


def test_one_that_hangs_costs_only_its_speed(one, gate):
    probe = f"import sys\nprint({WARM!r} in sys.modules)\n"
    run_of(one, python("a", probe))
    hung = zygote(one)
    os.kill(hung, signal.SIGSTOP)
    eventually(lambda: process_state(hung) == "T", "a stopped interpreter")
    run = run_of(one, python("b", probe))
    assert run["state"] == "succeeded" and one.log_of(run["runId"], "b") == "False\n"
    wait_pid_gone(hung)
    made = one.create(fresh(), dag(python("c", probe)))
    assert one.wait_run(one.trigger(made["id"]))["state"] == "succeeded"


def test_children_are_ended_and_daemons_come_and_go(one, gate):
    left = "import os, signal\nif os.fork() == 0:\n    signal.pause()\nprint(os.getpid())\n"
    run = run_of(one, python("leaves", left))
    assert run["state"] == "succeeded"
    leader = int(one.log_of(run["runId"], "leaves").split()[0])
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _session(pid) == leader]
    arrived = gate()
    made = one.create(fresh(), dag(python("stays", f"import subprocess, sys\nsubprocess.run(['sh', '-c', {arrived.command()!r}])\nsys.exit(6)\n")))
    run = one.trigger(made["id"])
    arrived.wait_arrival()
    one.kill()
    one.start()
    arrived.open()
    done = one.wait_run(run)
    assert task_of(done, "stays")["exitCode"] == 6 and task_of(done, "stays")["attempt"] == 1


def _session(pid):
    try:
        return os.getsid(int(pid))
    except OSError:
        return -1
