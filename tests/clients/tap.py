"""A tap between a client and the gateway: passes every byte on at once, a hang-up too, and keeps
what was said. `exchanges(file)` reads it back as HTTP; `python tap.py FILE ...` prints it."""

import email.parser
import http.client
import io
import json
import pickle
import socket
import sys
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit


class Tap:
    def __init__(self, to, record):
        self.to = (urlsplit(f"//{to}").hostname, urlsplit(f"//{to}").port)
        self.record, self.said, self.threads = record, [], []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                gateway = socket.create_connection(self.to)
            except OSError:
                client.close()  # The gateway is gone; the client shall learn of it.
                continue
            said = (bytearray(), bytearray())
            self.said.append(said)
            for source, sink, heard in [(client, gateway, said[0]), (gateway, client, said[1])]:
                source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=carry, args=(source, sink, heard), daemon=True)
                thread.start()
                self.threads.append(thread)

    def stop(self):
        """Ends once all connections have; writes the record."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.accepting.join(60)
        for thread in self.threads:
            thread.join(60)
        with open(self.record, "wb") as file:
            pickle.dump([(bytes(asked), bytes(answered)) for asked, answered in self.said], file)


def carry(source, sink, heard):
    try:
        while piece := source.recv(65536):
            heard += piece
            sink.sendall(piece)
    except OSError:
        pass  # Reset by one side; the other learns of it below.
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # It was closed already.


@dataclass
class Exchange:
    """A request and its answer. `whole`: the answer came to its proper end."""

    method: str
    path: str
    asked: object
    status: int = 0
    headers: object = None
    body: bytes = b""
    whole: bool = False


class Saved(io.BytesIO):
    """Recorded bytes, in the place of a socket."""

    def makefile(self, _):
        return self

    def close(self):
        pass


def exchanges(record):
    with open(record, "rb") as file:
        for asked, answered in pickle.load(file):
            requests, answers = io.BytesIO(asked), Saved(answered)
            while line := requests.readline():
                exchange = request(line, requests)
                answer(exchange, answers)
                yield exchange


def request(line, rest):
    method, path, _ = line.decode().split(" ")
    head = b"".join(iter(rest.readline, b"\r\n")).decode()
    headers = email.parser.HeaderParser().parsestr(head)
    body = rest.read(int(headers.get("content-length", 0)))
    assert "transfer-encoding" not in headers, headers
    return Exchange(method, path, parsed(body))


def parsed(body):
    """A request's JSON, or what it was instead; deep nesting on purpose, too."""
    try:
        return json.loads(body or "null")
    except (ValueError, RecursionError):
        return str(body)


def answer(exchange, answers):
    response = http.client.HTTPResponse(answers, method=exchange.method)
    try:
        response.begin()
        exchange.status, exchange.headers = response.status, response.headers
        exchange.body = response.read()
        exchange.whole = True
    except http.client.IncompleteRead as cut:
        exchange.body = cut.partial
    except http.client.RemoteDisconnected:
        pass  # The client left before the answer's head.


def show(record):
    for exchange in exchanges(record):
        end = "" if exchange.whole else "\n(cut off)"
        print(f"{exchange.method} {exchange.path} {json.dumps(exchange.asked, ensure_ascii=False)}")
        print(f"{exchange.status}\n{exchange.body.decode(errors='replace')}{end}\n")


if __name__ == "__main__":
    for record in sys.argv[1:]:
        show(record)
