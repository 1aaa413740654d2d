"""The warm interpreter of a worker: started once, with the usual modules loaded, and forked for each task.

Run by `python3 -c`, in a namespace of its own, so that __main__ is as a fresh interpreter has it. Its descriptor 1 is
the worker's socket. A request is one byte and descriptors; none of what a task consists of is ever read here, so that
nothing of one task can be found by the next. Two forks, so that the task becomes the worker's own child:

    here     -> middle    born into the task's cgroup
    middle   -> task      waits for the worker's word, which comes when the worker has written down its pid
    middle      ends      the worker, a subreaper, becomes the task's parent
    here        tells the task's pid

Where a fresh interpreter would do anything that is not done here (a package, an archive, a syntax error, a module of
the task's own that has the name of one that is loaded), the task executes one."""
import atexit
import ctypes
import gc
import importlib.util
import mmap
import os
import signal
import socket
import struct
import sys

CLONE3, CLOSE_RANGE = 435, 436
CLONE_INTO_CGROUP, PR_SET_PDEATHSIG, GIVEN_UP = 0x200000000, 1, 127
kernel = ctypes.PyDLL(None, use_errno=True)     # keeps the interpreter's lock: the child must own it
BARE = {name.partition(".")[0] for name in sys.builtin_module_names} | {"encodings", "site", "codecs", "io", "abc", "os"}


def load():
    try:
        # Told not to free its tables at the exit of each task (OPENSSL_INIT_NO_ATEXIT), which would copy them first.
        library = ctypes.CDLL(importlib.util.find_spec("_ssl").origin)
        library.OPENSSL_init_crypto(ctypes.c_uint64(0x80000), None)
    except (OSError, AttributeError, TypeError):
        pass
    for name in ("argparse", "base64", "collections", "contextlib", "copy", "csv", "dataclasses", "datetime", "enum",
                 "functools", "glob", "hashlib", "http.client", "io", "itertools", "json", "logging", "math", "pathlib",
                 "random", "re", "shutil", "string", "subprocess", "tempfile", "textwrap", "threading", "time",
                 "traceback", "typing", "urllib.parse", "urllib.request", "uuid"):
        try:
            __import__(name)
        except ImportError:
            pass


def added_variables():
    """What the interpreter itself put into the environment (PEP 538)."""
    with open("/proc/self/environ", "rb") as given:
        names = {item.partition(b"=")[0] for item in given.read().split(b"\0")}
    return {name: value for name, value in os.environb.items() if name not in names}


def clone_into(leaf):
    """As fork, of a process that will only fork: no handlers run, the C library knows nothing of it."""
    if leaf < 0:
        return os.fork()
    arguments = struct.pack("=11Q", CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, leaf)
    pid = kernel.syscall(ctypes.c_long(CLONE3), arguments, ctypes.c_long(len(arguments)))
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone3")
    return pid


def divide(leaf, page):
    """The task's pid, and 0 in the task. Negative: errno."""
    page[:4] = struct.pack("=i", 0)
    try:
        middle = clone_into(leaf)
    except OSError as error:
        return -error.errno
    if middle == 0:
        pid = 0
        try:
            pid = os.fork()
        except OSError as error:
            pid = -error.errno
        except BaseException:
            os._exit(GIVEN_UP)
        if pid == 0:
            return 0
        page[:4] = struct.pack("=i", pid)
        os._exit(0)
    os.waitpid(middle, 0)
    return struct.unpack("=i", page[:4])[0] or -5


def serve(control, worker):
    """Returns in a task, with its descriptors; ends with the worker."""
    page = mmap.mmap(-1, 4096)
    control = socket.socket(fileno=control)
    while True:
        word, fds, _, _ = socket.recv_fds(control, 1, 4)
        if not word:
            os._exit(0)
        gate, out, body = fds[:3]
        leaf = fds[3] if len(fds) > 3 else -1
        pid = divide(leaf, page)
        if pid == 0:
            control.detach()
            page.close()
            return gate, out, body
        try:
            os.write(gate, struct.pack("=i", pid))
        except OSError:
            pass            # the worker does not want it any more; the task sees that too
        for fd in fds:
            os.close(fd)


def take(gate, out, body, worker):
    """Waits for the worker's word, then becomes the task's process. Its program, arguments and environment."""
    if os.read(gate, 1) != b"g":
        os._exit(GIVEN_UP)
    kernel.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != worker:      # it may have died before it was asked to be waited for
        os._exit(GIVEN_UP)
    os.setsid()
    os.dup2(out, 1)
    os.dup2(out, 2)
    with open(body, "rb", buffering=0, closefd=False) as text:
        text.seek(0)
        text = text.readall()
    kernel.syscall(ctypes.c_long(CLOSE_RANGE), ctypes.c_long(3), ctypes.c_long(0xffffffff), ctypes.c_long(0))
    arguments, variables = struct.unpack_from("=II", text)
    items = text[8:].split(b"\0")
    workdir, program = items[0], items[1]
    os.chdir(workdir)
    return program, items[2:2 + arguments], items[2 + arguments:2 + arguments + variables]


def execute(program, argv, variables):
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.execve(program, argv, dict(item.split(b"=", 1) for item in variables))


def set_environment(variables, added):
    """Most are there already: memory that is only read is shared with the other tasks."""
    wanted = dict(item.split(b"=", 1) for item in variables if b"=" in item)
    for name, value in added.items():
        wanted.setdefault(name, value)
    for name in os.environb.keys() - wanted.keys():
        del os.environb[name]
    for name, value in wanted.items():
        if os.environb.get(name) != value:
            os.environb[name] = value
    if list(os.environb) != list(wanted):
        os.environ._data.clear()
        os.environ._data.update(wanted)


def shadows(folder, loaded):
    """Whether an import from there would find something else than what is loaded."""
    try:
        with os.scandir(folder or ".") as entries:
            return any(entry.name.partition(".")[0] in loaded
                       and ("." not in entry.name or entry.name.endswith((".py", ".pyc", ".so"))) for entry in entries)
    except OSError:
        return False


def prepare(argv, loaded):
    """What to execute, or None when a fresh interpreter has to. Sets what an interpreter sets for it."""
    words = [os.fsdecode(word) for word in argv]
    # Another than the one that the first frame stands in, so that it can end as a whole.
    main = type(sys)("__main__")
    main.__dict__.update(sys.modules["__main__"].__dict__)
    sys.modules["__main__"] = main
    if words[1] == "-c":
        source, file, folder, sys.argv = words[2], "<string>", "", ["-c"] + words[3:]
    else:
        if words[1].startswith("-") or not words[1].endswith(".py") or not os.path.isfile(words[1]):
            return None
        with open(words[1], "rb") as script:
            source = script.read()
        if b"\0" in source:
            return None
        file, folder = os.path.join(os.getcwd(), words[1]), os.path.dirname(os.path.realpath(words[1]))
        sys.argv = words[1:]
    if shadows(folder, loaded):
        return None
    try:
        code = compile(source, file, "exec", dont_inherit=True)
    except BaseException:
        return None
    if file != "<string>":
        from importlib.machinery import SourceFileLoader
        main.__file__, main.__cached__, main.__loader__ = file, None, SourceFileLoader("__main__", file)
        if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
            sys.path[0] = folder
    sys.orig_argv = words
    return code


def settle():
    """What a module noted at its import, as if that were now."""
    import logging
    import time
    if hasattr(logging, "_startTime"):
        logging._startTime = time.time()


def run():
    worker = os.getppid()
    control = os.dup(1)
    os.dup2(0, 1)
    os.dup2(0, 2)
    load()
    loaded = {name.partition(".")[0] for name in sys.modules} - BARE
    kept = set(sys.modules) - {"__main__"}
    added = added_variables()
    os.write(control, b"r")
    sys.path_importer_cache.clear()     # what folders hold when a task looks, not when this began
    gc.collect()
    gc.freeze()
    program, argv, variables = take(*serve(control, worker), worker)
    code = prepare(argv, loaded)
    if code is None:
        execute(program, argv, variables)
    set_environment(variables, added)
    settle()
    return code, kept


def tell(error):
    """Tells of an exception as the interpreter itself would, without the frames from here to the task's own. The exit
    status; that of an interrupt is negative: the signal."""
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xff if -2 ** 63 <= error.code < 2 ** 63 else 255
        if sys.stderr is not None:
            sys.stderr.write(f"{error.code}\n")
        return 1
    error.__traceback__ = error.__traceback__.tb_next
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as end:
        return tell(end)
    except BaseException as another:
        another.__traceback__ = another.__traceback__.tb_next
        another.__context__ = None
        sys.stderr.write("Error in sys.excepthook:\n")
        sys.__excepthook__(type(another), another, another.__traceback__)
        sys.stderr.write("\nOriginal exception was:\n")
        sys.__excepthook__(type(error), error, error.__traceback__)
    return -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


def flush():
    """False when something could not be written."""
    written = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:
            written = False
    return written


def release(kept):
    """What ends with the modules of the task's own ends in the interpreter's order. The others are left to the kernel:
    to free them costs as much as to load them."""
    import weakref
    sys.last_type = sys.last_value = sys.last_traceback = None
    own = [(name, weakref.ref(module)) for name, module in list(sys.modules.items())
           if name not in kept and module is not None]
    for name, _ in own:
        sys.modules[name] = None
    gc.collect()
    for _, ref in reversed(own):
        module = ref()
        names = vars(module) if module is not None else {}
        for private in (True, False):
            for name in [n for n in names if n != "__builtins__" and (n[:1] == "_" and n[1:2] != "_") == private]:
                names[name] = None


def leave(status, kept):
    sys.modules["threading"]._shutdown()
    atexit._run_exitfuncs()
    written = flush()
    release(kept)
    if not (flush() and written):
        status = 120
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    kernel.exit(status)


task, kept = run()
try:
    exec(task, sys.modules["__main__"].__dict__)
except BaseException as error:
    status = tell(error)
else:
    status = 0
leave(status, kept)
