"""An HTTP relay with faults in front of a service: what a network, a load balancer or a busy service does to requests.

A rule is a function of a Request that answers None (let it through), or what is to happen. One request a connection."""
import socket
import ssl
import threading
import time

from conftest import free_port

SLOW_DOWN = (b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.'
             b'</Message></Error>')


class Request:
    def __init__(self, head, rest):
        self.head, self.rest = head, rest
        self.method, self.path, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        fields = [line.split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line]
        self.headers = {k.decode().lower(): v.strip().decode() for k, v in fields}
        self.length = int(self.headers.get("content-length", 0))


def refuse(status=503, body=SLOW_DOWN):
    """Reads the request and answers with an error."""
    return lambda relay, request, client: relay.answer(request, client, status, body)


def cut(after):
    """Hands on so many bytes of the request, and breaks off."""
    return lambda relay, request, client: relay.through(request, client, request_bytes=after)


def cut_answer(after):
    return lambda relay, request, client: relay.through(request, client, answer_bytes=after)


def slow(bytes_a_second):
    return lambda relay, request, client: relay.through(request, client, rate=bytes_a_second)


def change(what):
    """`what` changes the bytes of the answer's body."""
    return lambda relay, request, client: relay.through(request, client, answer=what)


def change_request(what):
    return lambda relay, request, client: relay.through(request, client, body=what)


def hang(seconds=3600):
    return lambda relay, request, client: relay.closing.wait(seconds)


class Relay:
    def __init__(self, upstream, certificate=None):
        host, port = upstream.split("//")[1].split(":")
        self.upstream, self.port = (host, int(port)), free_port()
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.port}"
        self.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certificate else None
        if certificate:
            self.tls.load_cert_chain(*certificate)
        self.rule, self.requests, self.lock = lambda request: None, [], threading.Lock()
        self.closing = threading.Event()
        self.listener = None
        self.open()

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=200)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()
        return self

    def shut(self):
        """Nobody listens any more."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def close(self):
        self.closing.set()
        try:
            self.shut()
        except OSError:
            pass

    def accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            client = self.tls.wrap_socket(client, server_side=True) if self.tls else client
        except OSError:
            client.close()
            return
        with client:
            try:
                data = b""
                while b"\r\n\r\n" not in data:
                    more = client.recv(65536)
                    if not more:
                        return
                    data += more
                head, rest = data.split(b"\r\n\r\n", 1)
                request = Request(head, rest)
                with self.lock:
                    self.requests.append((request.method, request.path))
                    fault = self.rule(request)
                (fault or (lambda relay, r, c: relay.through(r, c)))(self, request, client)
            except OSError:
                pass

    @staticmethod
    def answer(request, client, status, body):
        left = request.length - len(request.rest)
        while left > 0:
            got = client.recv(65536)
            if not got:
                return
            left -= len(got)
        client.sendall(b"HTTP/1.1 %d Fault\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                       % (status, len(body)) + body)

    def through(self, request, client, request_bytes=None, answer_bytes=None, rate=None, answer=None, body=None):
        with socket.create_connection(self.upstream) as server:
            head = b"\r\n".join(line for line in request.head.split(b"\r\n") if not line.lower().startswith(b"connection:"))
            server.sendall(head + b"\r\nConnection: close\r\n\r\n")
            sent, piece = 0, request.rest
            while sent < request.length:
                if not piece:
                    piece = client.recv(65536)
                    if not piece:
                        return
                if request_bytes is not None and sent + len(piece) > request_bytes:
                    return
                server.sendall(body(piece) if body else piece)
                sent, piece = sent + len(piece), b""
            got, in_body = b"", False
            total = 0
            while True:
                data = server.recv(16384)
                if not data:
                    return
                if not in_body:
                    got += data
                    if b"\r\n\r\n" not in got:
                        continue
                    in_body = True
                    headers, data = got.split(b"\r\n\r\n", 1)
                    client.sendall(headers + b"\r\n\r\n")
                if answer:
                    data = answer(data)
                if answer_bytes is not None and total + len(data) > answer_bytes:
                    client.sendall(data[:max(answer_bytes - total, 0)])
                    return
                client.sendall(data)
                total += len(data)
                if rate:
                    time.sleep(len(data) / rate)
