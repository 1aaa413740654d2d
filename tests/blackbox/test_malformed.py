"""Bytes that no HTTP client should send. The server may refuse in its library's own words or in ours; it must not crash,
hang, answer with an error of its own (5xx), read one request as two, or lose a descriptor."""
import re
import socket

import pytest
from support import Daemon, eventually, raw_exchange

HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
LIST = b"GET /api/v1/dags HTTP/1.1\r\n" + HOST
POST = b"POST /api/v1/dags/validate HTTP/1.1\r\n" + HOST + CLOSE + b"Content-Type: application/json\r\n"
BODY = b'{"yaml": "name: a"}'


def chunked(*chunks):
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)


# What comes back: the statuses allowed, for each answer in turn. None: the connection may also end without one.
REFUSED = {
    "length and chunks": (POST + b"Content-Length: 19\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY, {400}),
    "chunks and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 19\r\n\r\n0\r\n\r\n", {400}),
    "two lengths": (POST + b"Content-Length: 19\r\nContent-Length: 19\r\n\r\n" + BODY, {400}),
    "two different lengths": (POST + b"Content-Length: 19\r\nContent-Length: 2\r\n\r\n" + BODY, {400}),
    "list of lengths": (POST + b"Content-Length: 19, 19\r\n\r\n" + BODY, {400}),
    "negative length": (POST + b"Content-Length: -1\r\n\r\n" + BODY, {400}),
    "signed length": (POST + b"Content-Length: +19\r\n\r\n" + BODY, {400}),
    "hexadecimal length": (POST + b"Content-Length: 0x13\r\n\r\n" + BODY, {400}),
    "length beyond 64 bits": (POST + b"Content-Length: 99999999999999999999999\r\n\r\n", {400, 413}),
    "length of many gigabytes": (POST + b"Content-Length: 99999999999\r\n\r\n", {413}),
    "unknown coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n" + BODY, {400, 501}),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", {400}),
    "hidden chunked": (POST + b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    "folded header": (LIST + CLOSE + b"X-A: b\r\n  c\r\n\r\n", {400}),
    "folded first header": (b"GET / HTTP/1.1\r\n X: y\r\n" + HOST + CLOSE + b"\r\n", {400}),
    "space before the colon": (POST + b"Content-Length : 19\r\n\r\n" + BODY, {400}),
    "bare line feeds": (b"GET /live HTTP/1.1\nHost: localhost\nConnection: close\n\n", {400}),
    "header without a colon": (LIST + CLOSE + b"nonsense\r\n\r\n", {400}),
    "header without a name": (LIST + CLOSE + b": x\r\n\r\n", {400}),
    "zero byte in a header": (LIST + CLOSE + b"X-A: b\0c\r\n\r\n", {400}),
    "zero byte in the target": (b"GET /a\0b HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {400}),
    "encoded zero byte": (b"GET /api/v1/dags/%00 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {400}),
    "encoded zero byte in a query": (b"GET /api/v1/dags?name=a%00b HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {400}),
    "bad percent": (b"GET /api/v1/dags/%zz HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {400, 404}),
    "cut percent": (b"GET /api/v1/dags/%4 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {400, 404}),
    "no UTF-8 in the path": (b"GET /api/v1/dags/%ff%fe HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {400, 404}),
    "two hosts": (b"GET /live HTTP/1.1\r\n" + HOST + b"Host: localhost\r\n" + CLOSE + b"\r\n", {400}),
    "no host": (b"GET /live HTTP/1.1\r\n" + CLOSE + b"\r\n", {400}),
    "foreign host": (b"GET /live HTTP/1.1\r\nHost: evil.example\r\n" + CLOSE + b"\r\n", {403}),
    "foreign origin": (POST + b"Origin: http://evil.example\r\nContent-Length: 19\r\n\r\n" + BODY, {403}),
    "absolute target of another host": (b"GET http://evil.example/live HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n",
                                        {400, 403, 404}),
    "long target": (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {414}),
    "endless target": (b"GET /" + b"a" * 200_000, {414, 431, None}),
    "long header": (LIST + CLOSE + b"X-A: " + b"b" * 20_000 + b"\r\n\r\n", {431}),
    "endless header": (LIST + b"X-A: " + b"b" * 300_000, {431, 413, None}),
    "many headers": (LIST + CLOSE + b"".join(b"X-%d: y\r\n" % i for i in range(2000)) + b"\r\n", {431}),
    "bad version": (b"GET /live HTTP/9.9\r\n" + HOST + CLOSE + b"\r\n", {400, 505}),
    "no version": (b"GET /live HTTP\r\n" + HOST + CLOSE + b"\r\n", {400, 505, None}),
    "HTTP/0.9": (b"GET /live\r\n", {400, 505, None}),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505, None}),
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 512, {400, 505, None}),
    "only line breaks": (b"\r\n" * 5000, {400, None}),
    "noise": (bytes(range(256)) * 64, {400, 505, None}),
    "method of 10 KB": (b"A" * 10_000 + b" / HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {400, 405, 414, 431, None}),
    "chunk size beyond 64 bits": (chunked(b"fffffffffffffffff\r\nx\r\n"), {400, 413}),
    "chunk without a size": (chunked(b"\r\nabc\r\n0\r\n\r\n"), {400}),
    "negative chunk": (chunked(b"-1\r\nabc\r\n0\r\n\r\n"), {400}),
    "chunk longer than it says": (chunked(b"2\r\nabcdef\r\n0\r\n\r\n"), {400}),
    # libmicrohttpd 0.9.75 takes this for a mistake of ours, and says so in its own words
    "endless chunk extension": (chunked(b"1;" + b"a" * 200_000), {400, 413, 431, 500, None}),
    "unknown method": (b"BREW /live HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {405}),
    "CONNECT": (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", {400, 404, 405}),
    "no length where a body must be": (POST + b"\r\n", {411}),
    "no content type": (b"POST /api/v1/dags/validate HTTP/1.1\r\n" + HOST + CLOSE + b"Content-Length: 19\r\n\r\n" + BODY,
                        {415}),
    "wrong content type": (b"POST /api/v1/dags/validate HTTP/1.1\r\n" + HOST + CLOSE
                           + b"Content-Type: text/html\r\nContent-Length: 19\r\n\r\n" + BODY, {415}),
}

ACCEPTED = {
    "HTTP/1.0": (b"GET /live HTTP/1.0\r\n\r\n", 200),
    "HTTP/1.0 with a host": (b"GET /live HTTP/1.0\r\n" + HOST + b"\r\n", 200),
    "absolute target": (b"GET http://localhost/live HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 200),
    "line break before the request": (b"\r\nGET /live HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 200),
    "chunks": (chunked(b"5\r\n" + BODY[:5] + b"\r\n", b"e;x=y\r\n" + BODY[5:] + b"\r\n", b"0\r\n\r\n"), 200),
    "header names of any case": (b"GET /live HTTP/1.1\r\nhOsT: localhost\r\ncOnNeCtIoN: close\r\n\r\n", 200),
    "HEAD": (b"HEAD /live HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n", 200),
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Silent connections are closed soon: the end of some of these requests is only seen by that."""
    one = Daemon(tmp_path_factory.mktemp("malformed"), "--idle-timeout", "2s", "--request-timeout", "10s").start()
    yield one
    findings = one.close()
    assert not findings, "\n".join(findings)


def statuses(received):
    """Of all answers in the bytes of a connection. Bodies have no line that starts like a status line."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def once(received):
    """The same; an answer in libmicrohttpd's own words counts once, though 0.9.75 may send its head twice."""
    got = statuses(received)
    return got[:1] if b"<html><head><title>" in received and len(set(got)) == 1 else got


def check_still_fine(daemon):
    assert daemon.is_running(), daemon.log()
    assert daemon.get("/live").json["status"] == "ok"


@pytest.mark.parametrize("name", REFUSED)
def test_refused(shared, name):
    sent, allowed = REFUSED[name]
    received = raw_exchange(shared.port, sent, seconds=30, half_close=True)
    got = once(received)
    assert len(got) <= 1, f"read as more than one request: {received[:2000]!r}"
    assert (got[0] if got else None) in allowed, received[:2000]
    if got and b"application/json" in received:
        assert b'"code"' in received and b'"message"' in received
    check_still_fine(shared)


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(shared, name):
    sent, status = ACCEPTED[name]
    received = raw_exchange(shared.port, sent, seconds=30)
    assert statuses(received) == [status], received[:2000]


def test_smuggled_request_is_not_answered(shared):
    """Two lengths: one reading of it holds a second request."""
    inner = b"GET /api/v1/workers HTTP/1.1\r\n" + HOST + b"\r\n"
    head = b"POST /api/v1/dags/validate HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    for lengths in (b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % (len(inner) + 5),
                    b"Content-Length: 0\r\nContent-Length: %d\r\n" % (len(inner) + 5),
                    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"):
        received = raw_exchange(shared.port, head + lengths + b"\r\n0\r\n\r\n" + inner, seconds=30, half_close=True)
        assert statuses(received) == [400], received


def test_pipelined_requests_are_answered_in_order(shared):
    count = 100
    requests = [b"GET /api/v1/dags?limit=%d HTTP/1.1\r\n" % (i + 1) + HOST + b"X-Request-Id: n%d\r\n" % i
                + (CLOSE if i == count - 1 else b"") + b"\r\n" for i in range(count)]
    received = raw_exchange(shared.port, b"".join(requests))
    assert statuses(received) == [200] * count
    assert [int(n) for n in re.findall(rb"X-Request-Id: n(\d+)", received)] == list(range(count))


def test_errors_are_pipelined_too(shared):
    good = b"GET /live HTTP/1.1\r\n" + HOST
    bad = b"GET /nowhere HTTP/1.1\r\n" + HOST
    received = raw_exchange(shared.port, good + b"\r\n" + bad + b"\r\n" + good + CLOSE + b"\r\n")
    assert statuses(received) == [200, 404, 200]


def test_requests_byte_by_byte(shared):
    sent = chunked(b"%x\r\n" % len(BODY), BODY, b"\r\n0\r\n\r\n")
    received = raw_exchange(shared.port, [bytes([byte]) for byte in sent])
    assert statuses(received) == [200]


def test_slow_requests_are_closed(make_daemon):
    """A head, a body, and a line that do not come to their end in time. The connection is closed, in whatever words."""
    daemon = make_daemon("--request-timeout", "300ms", "--idle-timeout", "300ms").start()
    for begun in (b"GET /live HT", LIST + b"X-A: ", POST + b"Content-Length: 19\r\n\r\n{", chunked(b"5\r\nab"), b""):
        received = raw_exchange(daemon.port, begun)
        assert all(status in (400, 408) for status in statuses(received)), received
    check_still_fine(daemon)


def test_early_ends(shared):
    """The client is gone: before, in the middle of and after its request, politely or by reset."""
    targets = [b"", b"GE", LIST, POST + b"Content-Length: 100\r\n\r\n{", chunked(b"5\r\nab"), LIST + b"\r\n",
               b"GET /api/v1/events HTTP/1.1\r\n" + HOST + b"\r\n"]
    for sent in targets:
        for reset in (False, True):
            peer = socket.create_connection(("127.0.0.1", shared.port))
            if reset:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.sendall(sent)
            peer.close()
    check_still_fine(shared)


def test_a_body_that_is_too_large_is_not_read(shared):
    """An endpoint that takes no DAG file takes 1 MiB. More is read and thrown away, much more is not."""
    head = (b"POST /api/v1/dags/00000000-0000-7000-8000-000000000000/runs HTTP/1.1\r\n" + HOST + CLOSE
            + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n")
    assert statuses(raw_exchange(shared.port, head % (100 << 20))) == [413]
    received = raw_exchange(shared.port, [head % (2 << 20)] + [b" " * 65536] * 32)
    assert statuses(received) in ([413], []), received  # []: reset while we still wrote


def test_expect_continue(shared):
    with socket.create_connection(("127.0.0.1", shared.port), timeout=30) as peer:
        peer.sendall(POST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
        assert peer.recv(65536).startswith(b"HTTP/1.1 100 ")
        peer.sendall(BODY)
        received = b""
        while piece := peer.recv(65536):
            received += piece
        assert statuses(received) == [200]


def test_no_descriptor_is_lost(make_daemon):
    """All of the above, once more, on a daemon whose descriptors are counted before and after."""
    daemon = make_daemon("--request-timeout", "2s", "--idle-timeout", "2s").start()
    before = daemon.open_files()
    for sent, _ in list(REFUSED.values()) + list(ACCEPTED.values()):
        raw_exchange(daemon.port, sent, seconds=30, half_close=True)
    test_early_ends(daemon)
    eventually(lambda: daemon.open_files() <= before, f"{before} descriptors, as before")
