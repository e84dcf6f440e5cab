"""HTTP over loopback with as little work on our side as can be: files leave by sendfile, answers come back
on connections that are kept."""
import http.client
import os
import socket
import struct
import threading
import time


class Refused(RuntimeError):
    pass


class Client:
    """One kept connection."""

    def __init__(self, port, timeout=600):
        self.http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)

    def call(self, method, path, body=None, headers=None):
        self.http.request(method, path, body, headers or {})
        answer = self.http.getresponse()
        data = answer.read()
        if answer.status // 100 != 2:
            raise Refused(f"{method} {path}: {answer.status} {data[:500].decode(errors='replace')}")
        return data

    def close(self):
        self.http.close()


def read_answer(sock):
    """Status and body of one answer on a kept connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError("the server closed the connection: " + data[:200].decode(errors="replace"))
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        body += sock.recv(65536)
    return status, body


class Sender:
    """Sends spans of a file as bodies over some connections at once; 429 and 503 are sent again."""

    def __init__(self, port, path, target, content_type="application/x-ndjson", connections=2):
        self.port, self.path, self.target = port, path, target
        self.content_type, self.connections = content_type, connections
        self.lock = threading.Lock()
        self.retries = 0
        self.answers = []
        self.failure = None

    def send(self, spans):
        """Returns wall seconds from the first byte to the last answer."""
        self.spans = list(reversed(spans))
        threads = [threading.Thread(target=self.run) for _ in range(min(self.connections, len(spans)))]
        started = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if self.failure:
            raise self.failure
        return time.monotonic() - started

    def next(self):
        with self.lock:
            return self.spans.pop() if self.spans and not self.failure else None

    def run(self):
        try:
            with open(self.path, "rb") as f, socket.create_connection(("127.0.0.1", self.port)) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # A blocking socket, as sendfile wants it, that gives up all the same.
                for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                    sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 600, 0))
                while span := self.next():
                    self.one(f, sock, *span)
        except Exception as e:
            self.failure = e

    def one(self, f, sock, offset, length):
        head = (f"POST {self.target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                f"Content-Type: {self.content_type}\r\nContent-Length: {length}\r\n\r\n").encode()
        while True:
            sock.sendall(head)
            at = offset
            while at < offset + length:
                at += os.sendfile(sock.fileno(), f.fileno(), at, offset + length - at)
            status, body = read_answer(sock)
            if status // 100 == 2:
                with self.lock:
                    self.answers.append(body)
                return
            if status not in (429, 503):
                raise Refused(f"{self.target}: {status} {body[:500].decode(errors='replace')}")
            self.retries += 1
            time.sleep(0.05)
