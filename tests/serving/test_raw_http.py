"""HTTP as attackers write it, byte by byte, against a server of its own process."""

import json
import re
import socket
import struct
import time

import keras
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("a server has no Keras backend", allow_module_level=True)
pytest.importorskip("fastapi")

from kept_export import Serving, copy_export

CLOSE = b"Connection: close\r\n"
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = copy_export(tmp_path_factory.mktemp("raw") / "export")
    with Serving(folder, "--max-body", 2_000_000) as running:
        yield running


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else None


def request(line, *headers, body=b""):
    head = b"".join(header + b"\r\n" for header in headers)
    return line + b"\r\n" + HOST + CLOSE + head + b"\r\n" + body


def post(*headers, body=b"", path=b"/classify"):
    return request(b"POST " + path + b" HTTP/1.1", *headers, body=body)


LENGTH, CHUNKED = b"Content-Length: 5", b"Transfer-Encoding: chunked"
FIRST_FLIGHT = 14_600  # bytes that a server may send before it hears back: RFC 6928, section 2
SHAPES = {
    "two kinds of length": (post(LENGTH, CHUNKED, body=b"0\r\n\r\nG"), 400),
    "two lengths": (post(LENGTH, b"Content-Length: 6", body=b"123456"), 400),
    "a length with a sign": (post(b"Content-Length: +5", body=b"12345"), 400),
    "a negative length": (post(b"Content-Length: -5"), 400),
    "a length of a million digits": (post(b"Content-Length: " + b"9" * 10_000), 400),
    "a coding before chunked": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 400),
    "chunked twice": (post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), 400),
    "a chunk of no number": (post(CHUNKED, body=b"zz\r\n"), 400),
    "a chunk with a long extension": (post(CHUNKED, body=b"1;" + b"a" * 70_000), 400),
    "chunked in 1.0": (
        b"POST /classify HTTP/1.0\r\n" + HOST + CHUNKED + b"\r\n\r\n0\r\n\r\n", 400),
    "a space before the colon": (request(b"GET /health HTTP/1.1", b"X : y"), 400),
    "a bare line feed in a header": (request(b"GET /health HTTP/1.1", b"X: a\rY: b"), 400),
    "a NUL in a header": (request(b"GET /health HTTP/1.1", b"X: a\0b"), 400),
    "two hosts": (request(b"GET /health HTTP/1.1", b"Host: localhost"), 400),
    "no host": (b"GET /health HTTP/1.1\r\n" + CLOSE + b"\r\n", 400),
    "no host in 1.0": (b"GET /health HTTP/1.0\r\n\r\n", 200),
    "many headers": (request(b"GET /health HTTP/1.1", *[b"X: y"] * 1000), 431),
    "a header without an end": (request(b"GET /health HTTP/1.1", b"X: " + b"y" * 200_000)[:-4], 400),
    "an address without an end": (b"GET /" + b"a" * 100_000, 400),
    "a whole address": (request(b"GET http://evil.example/health HTTP/1.1"), 404),
    "a tunnel": (request(b"CONNECT evil.example:443 HTTP/1.1"), 404),
    "OPTIONS of all": (request(b"OPTIONS * HTTP/1.1"), 404),
    "TRACE": (request(b"TRACE / HTTP/1.1"), 405),
    "HTTP/2 at once": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + b"\r\n\r\n", 400),
    "a websocket": (b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\n"
                    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", 200),
    "odd percent signs": (request(b"GET /v1/models/%zz%ff%00%0d%0aX:y HTTP/1.1"), 404),
    "up and out": (request(b"GET /v1/models/../../../../etc/passwd HTTP/1.1"), 404),
    "up and out, encoded": (request(b"GET /v1/models/..%2f..%2fetc%2fpasswd/metadata HTTP/1.1"), 404),
    "a lone surrogate": (request(b"GET /v1/models/%ed%a0%80 HTTP/1.1"), 404),
    "another slash": (request(b"GET /health/ HTTP/1.1"), 404),
    "another method": (request(b"BREW /classify HTTP/1.1"), 405),
    "another expectation": (post(b"Expect: 200-ok", LENGTH, body=b"12345"), 400),
    "a name that is not the server's": (
        b"GET /health HTTP/1.1\r\nHost: evil.example:8501\r\n" + CLOSE + b"\r\n", 403),
    "a name with a user": (b"GET /health HTTP/1.1\r\nHost: localhost@evil\r\n" + CLOSE + b"\r\n", 403),
    "a name that ends so": (b"GET /health HTTP/1.1\r\nHost: localhost.evil\r\n" + CLOSE + b"\r\n", 403),
    "a page elsewhere": (post(b"Origin: http://evil.example", LENGTH, body=b"12345"), 403),
    "no page": (post(b"Origin: null", LENGTH, body=b"12345"), 403),
    "another port's page": (post(b"Origin: http://localhost:1", LENGTH, body=b"12345"), 403),
    "a page elsewhere that hides": (post(b"Sec-Fetch-Site: cross-site", LENGTH, body=b"12345"), 403),
    "a picture in a page elsewhere": (
        request(b"GET /metrics HTTP/1.1", b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Dest: image"), 403),
    "a frame in a page elsewhere": (
        request(b"GET / HTTP/1.1", b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Dest: iframe"), 403),
    "a link in a page elsewhere": (
        request(b"GET / HTTP/1.1", b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Dest: document"), 200),
    "its own page": (post(b"Origin: http://localhost", b"Sec-Fetch-Site: same-origin",
                          LENGTH, body=b"12345"), 400),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_an_odd_request_is_answered_in_one_line(server, shape):
    content, expected = SHAPES[shape]
    answer = server.raw(content)
    assert status(answer) == expected, answer[:300]
    assert answer.count(b"HTTP/1.1 ") == 1  # nothing of the body was taken for another request
    assert len(answer) < FIRST_FLIGHT  # the page, too
    assert b"\r\nX:y" not in answer


BODIES = {
    "long keys": json.dumps({"k" * 1_500_000: 1}).encode(),
    "many keys": json.dumps({f"{i}": 1 for i in range(100_000)}).encode(),
    "a number of many digits": b'{"instances": [' + b"9" * 1_000_000 + b"]}",
    "deep": b'{"instances": ' + b"[" * 900_000,
    "deep objects": b'{"a":' * 300_000,
    "long text": json.dumps({"instances": "x" * 1_500_000}).encode(),
    "long base64": json.dumps({"instances": [{"b64": "!" * 1_500_000}]}).encode(),
    "half a character": b'{"\\ud800": 1}',
    "infinity": b'{"instances": [[1e999]]}',
    "not a number": b'{"instances": [[-Infinity]]}',
}


@pytest.mark.parametrize("kind", BODIES)
def test_an_error_echoes_little_of_a_long_body(server, kind):
    body = BODIES[kind]
    length = b"Content-Length: %d" % len(body)
    answer = server.raw(post(length, body=body, path=b"/v1/models/halves:predict"))
    _, _, text = answer.partition(b"\r\n\r\n")
    assert status(answer) == 400, answer[:300]
    assert len(text) < 600 and set(json.loads(text)) == {"error"}


def test_a_form_of_a_million_parts_is_refused_at_once(server):
    part = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'
    body = part * 30_000 + b"--x--\r\n"
    headers = (b"Content-Type: multipart/form-data; boundary=x", b"Content-Length: %d" % len(body))
    begin = time.monotonic()
    answer = server.raw(post(*headers, body=body))
    assert status(answer) == 400 and b"form: " in answer
    assert time.monotonic() - begin < 5


def test_a_body_in_chunks_of_one_byte_is_given_up(server):
    body = b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n"
    answer = server.raw(post(CHUNKED, body=body))
    assert status(answer) in (400, None)  # None: it was closed while much was still coming
    few = b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"
    assert b"not an image" in server.raw(post(CHUNKED, body=few))


def test_requests_in_a_row_are_answered_in_a_row(server):
    many = (b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n") * 49 + request(b"GET /health HTTP/1.1")
    assert server.raw(many).count(b'"status":"ok"') == 50


def test_rubbish_after_an_answer_is_no_traceback(server):
    answer = server.raw(b"GET /none HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n\r\nzz\r\n")
    assert status(answer) in (400, 404)  # whichever was seen first
    assert "Traceback" not in server.log.read_text()


def test_a_client_that_hangs_up_is_no_error(server):
    def left():
        text = server.raw(request(b"GET /metrics HTTP/1.1"))
        assert b'status="500"' not in text
        return float((re.findall(rb'route="/classify",status="499"} (\S+)', text) or [0])[0])

    before, head = left(), post(b"Content-Length: 1000", body=b"12345")
    for linger in (b"", struct.pack("ii", 1, 0)):  # FIN, then RST
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            if linger:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            connection.sendall(head)
            time.sleep(0.2)
    end = time.monotonic() + 20
    while left() < before + 2:
        assert time.monotonic() < end
    assert "Traceback" not in server.log.read_text()


def test_much_rubbish_writes_few_lines(server):
    for _ in range(200):
        server.raw(b"rubbish\r\n\r\n")
    assert len(server.log.read_text().splitlines()) < 60


def test_every_answer_tells_browsers_what_they_may_do(server):
    for path in (b"/", b"/health", b"/none"):
        head = server.raw(request(b"GET " + path + b" HTTP/1.1")).partition(b"\r\n\r\n")[0].lower()
        for header in (b"x-frame-options: deny", b"x-content-type-options: nosniff",
                       b"referrer-policy: no-referrer", b"frame-ancestors 'none'",
                       b"default-src 'none'", b"cross-origin-resource-policy: same-origin"):  # fmt: skip
            assert header in head


def test_all_kinds_are_counted(saw, passed):
    requests = passed(test_an_odd_request_is_answered_in_one_line)
    bodies = passed(test_an_error_echoes_little_of_a_long_body)
    saw("odd requests", f"{requests} requests and {bodies} bodies, each answered in under"
        " 600 bytes, no traceback")  # fmt: skip
