"""Between a node and PostgreSQL: a proxy that can be silent, slow, cut what there is, and do something at exactly one
statement of one node, before it reaches the server or after the server has answered and nobody heard it.

It knows PostgreSQL's protocol as far as to tell statements from each other by how their SQL begins (LABELS); what no
label fits goes through. One thread runs all links of a lane; calls may come from any thread."""
import asyncio
import struct
import threading

# How the SQL of a step begins, or (...) what is in it; the first that fits. A step that is never met is reported by the
# campaign.
LABELS = {
    "leave": "WITH left_alone AS",      # before offers: it asks for some as well
    "offer": "...INSERT INTO offers",
    "offer-take": "...UPDATE offers SET state = 'taken'",
    "offer-held": "...WHERE o.node = $1 AND o.state = 'taken'",
    "offer-report": "...UPDATE offers o SET state = $3",
    "offer-read": "...FROM offers o WHERE o.fence = ANY($1",
    "offer-withdraw": "...UPDATE offers SET state = 'refused'",
    "offer-done": "...DELETE FROM offers WHERE fence",
    "migrate": "SET lock_timeout TO '60s'; SELECT pg_advisory_lock",
    "join": "WITH before AS",
    "renew": "UPDATE nodes SET lease_until",
    "lead": "UPDATE leases l SET",
    "hand-over-lead": "UPDATE leases SET epoch = NULL",
    "sweep": "WITH dying AS",
    "take-over": "WITH mine AS (SELECT epoch FROM nodes WHERE epoch = $1 AND NOT dead AND NOT draining",
    "find-given": "SELECT id FROM active_runs WHERE owner = $1 AND given",
    "loaded": "UPDATE active_runs SET given = false",
    "give": "WITH given AS",
    "cancel": "WITH asked AS",
    "tell": "SELECT pg_notify('pawl_events'",
    "begin": "BEGIN",
    "fence": "WITH mine AS (SELECT epoch FROM nodes WHERE epoch = $1 AND NOT dead FOR SHARE) INSERT",
    "settle": "SELECT dead FROM nodes",
    "settle-find": "SELECT 1 FROM commits",
    "commit": "COMMIT",
    "rollback": "ROLLBACK",
    "birth": "INSERT INTO active_runs",
    "claim": "INSERT INTO attempts",
    "end": "UPDATE attempts a SET state",
    "withdraw": "DELETE FROM attempts",
    "run-end": "WITH gone AS (DELETE FROM active_runs",
    "key": "INSERT INTO idempotency",
    "fire": "INSERT INTO fires",
}
QUIET = {"begin", "rollback", "tell"}   # what neighbours break as well; said only while streams are open


def label_of(sql):
    text = sql.decode(errors="replace")
    return next((label for label, part in LABELS.items()
                 if (part[3:] in text if part.startswith("...") else text.startswith(part))), None)


class Arm:
    """At the number-th statement `label` of a link: act(link) in the proxy's thread; then the connection is gone."""

    def __init__(self, label, number, after, act):
        self.label, self.left, self.after, self.act = label, number, after, act


class Connection:
    def __init__(self, link, client, server):
        self.link = link
        self.client, self.server = client, server       # (reader, writer) each
        self.named = {}
        self.due = None                 # an arm to be met at the end of the answer
        self.tasks = []

    def close(self):
        for _, writer in (self.client, self.server):
            writer.transport.abort()
        for task in self.tasks:
            task.cancel()

    async def forward(self, writer, piece, is_last=False):
        """is_last: of a question or an answer, which is what a delay delays."""
        link = self.link
        if link.delay and is_last:
            await asyncio.sleep(link.delay)
        await link.heard.wait()
        writer.write(piece)
        await writer.drain()

    def meet(self, arm):
        arm.act(self.link)
        self.close()

    async def from_client(self):
        reader, (_, writer) = self.client[0], self.server
        head = await reader.readexactly(4)
        await self.forward(writer, head + await reader.readexactly(struct.unpack("!I", head)[0] - 4))
        while True:
            kind = await reader.readexactly(1)
            head = await reader.readexactly(4)
            body = await reader.readexactly(struct.unpack("!I", head)[0] - 4)
            label = None
            if kind == b"Q":
                label = label_of(body)
            elif kind == b"P":
                name, _, rest = body.partition(b"\0")
                self.named[name] = label_of(rest)
            elif kind == b"B":
                label = self.named.get(body.split(b"\0", 2)[1])
            arm = self.link.meets(label)
            if arm and not arm.after:
                return self.meet(arm)
            if arm:
                self.due = arm
            await self.forward(writer, kind + head + body, kind in b"QS")

    async def from_server(self):
        reader, (_, writer) = self.server[0], self.client
        while True:
            kind = await reader.readexactly(1)
            head = await reader.readexactly(4)
            piece = kind + head + await reader.readexactly(struct.unpack("!I", head)[0] - 4)
            if self.due:
                if kind == b"Z":
                    return self.meet(self.due)
                continue
            await self.forward(writer, piece, kind == b"Z")

    async def run(self):
        self.tasks = [asyncio.ensure_future(self.from_client()), asyncio.ensure_future(self.from_server())]
        await asyncio.wait(self.tasks, return_when=asyncio.FIRST_COMPLETED)
        self.close()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Link:
    """What one node reaches PostgreSQL through: `port` on `host`."""

    def __init__(self, wire, host, socket_path, name):
        self.wire, self.host, self.socket_path, self.name = wire, host, socket_path, name
        self.port = None
        self.delay = 0
        self.arms = []
        self.refused = 0                # connections while there was no server
        self.connections = set()
        self.heard = None
        self.server = None

    async def open(self):
        self.heard = asyncio.Event()
        self.heard.set()
        self.server = await asyncio.start_server(self.accept, self.host, 0)
        self.port = self.server.sockets[0].getsockname()[1]

    async def accept(self, reader, writer):
        await self.heard.wait()
        try:
            upstream = await asyncio.open_unix_connection(self.socket_path)
        except OSError:
            self.refused += 1
            writer.transport.abort()
            return
        connection = Connection(self, (reader, writer), upstream)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)

    def meets(self, label):
        for arm in self.arms:
            if label and arm.label == label and arm.left > 0:
                arm.left -= 1
                if arm.left == 0:
                    return arm
        return None

    # ---- from any thread ----

    def silence(self):
        """Nothing passes any more, and nobody is told."""
        self.wire.call(self.heard.clear)

    def speak(self):
        self.wire.call(self.heard.set)

    def cut(self):
        def act():
            for connection in list(self.connections):
                connection.close()
        self.wire.call(act)

    def slow(self, seconds):
        self.delay = seconds

    def close(self):
        async def act():
            self.server.close()
            self.heard.set()
            for connection in list(self.connections):
                connection.close()
        self.wire.wait(act())


class Wire:
    """The thread that all links of a lane share."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda *_: None)    # connections break here all the time
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def call(self, function):
        done = threading.Event()

        def act():
            function()
            done.set()
        if threading.current_thread() is self.thread:
            function()
        else:
            self.loop.call_soon_threadsafe(act)
            done.wait(30)

    def link(self, host, socket_path, name):
        link = Link(self, host, socket_path, name)
        self.wait(link.open())
        return link

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
