"""Traces as OpenTelemetry's own packages read them: what the gateway sends is decoded by the published
protocol, and each attribute has a name, and a type, that the published conventions know."""

import importlib
import json
import threading
import time
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import opentelemetry.semconv
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from stage import KEY, PATIENCE, Program, simulator

# The conventions have it; the package of their names is older.
NEWER = {"gen_ai.request.reasoning.level"}
# What is measured in seconds or as a share is a double; what is counted, an integer.
DOUBLES = {
    "gen_ai.request.temperature", "gen_ai.request.top_p", "gen_ai.response.time_to_first_chunk",
    "z2api.queue_time",
}
COUNTS = {
    "gen_ai.request.max_tokens", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens",
    "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.cache_read.input_tokens",
    "http.response.status_code", "http.request.resend_count", "server.port", "z2api.attempt", "z2api.token",
}
CHAT = {"model": "GLM-4.5", "temperature": 0.5, "max_tokens": 99}


def known_names():
    """All attributes that the published conventions name, stable or not."""
    names = set()
    (root,) = map(Path, opentelemetry.semconv.__path__)
    for file in root.rglob("*_attributes.py"):
        module = ".".join(["opentelemetry.semconv", *file.relative_to(root).with_suffix("").parts])
        constants = vars(importlib.import_module(module)).items()
        names |= {value for name, value in constants if name.isupper() and isinstance(value, str)}
    return names


class Collector(ThreadingHTTPServer):
    """Keeps what it is sent, and takes it all."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Heard)
        self.heard = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        super().__exit__()


class Heard(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.heard.append((self.path, self.headers["content-type"], body))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """What a collector hears of two chats, one of them whole: paths, types and bodies."""
    folder = tmp_path_factory.mktemp("traces")
    with Collector() as collector, ExitStack() as stack:
        sim = simulator(folder)
        stack.callback(sim.stop)
        _, upstream = sim.told(r"(http://\S+)\n(http://\S+)\n")
        gateway = Program(
            folder / "gateway.log", "z2api-server", HOST="127.0.0.1", PORT="0", DEFAULT_KEY=KEY,
            UPSTREAM_URL=upstream, UPSTREAM_TOKEN="upstream-token-0001",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=check",
        )
        stack.callback(gateway.stop)
        (address,) = gateway.told(r"http://([0-9.:]+)\s")
        for stream in [True, False]:
            ask(address, stream)
        deadline = time.monotonic() + PATIENCE
        while sum(len(spans(body)) for _, _, body in collector.heard) < 6:
            assert time.monotonic() < deadline, "the spans do not come"
            time.sleep(0.05)
        yield list(collector.heard)


def ask(address, stream):
    content = json.dumps({"think": "Hm.", "say": "a private answer"})
    messages = [{"role": "user", "content": content}]
    request = urllib.request.Request(
        f"http://{address}/v1/chat/completions",
        json.dumps({**CHAT, "stream": stream, "messages": messages}).encode(),
        {
            "authorization": f"Bearer {KEY}", "content-type": "application/json",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        },
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        answer.read()


def spans(body):
    told = ExportTraceServiceRequest.FromString(body)
    return [span for resource in told.resource_spans for scope in resource.scope_spans for span in scope.spans]


def test_all_that_is_sent_is_of_the_protocol(heard):
    for path, kind, body in heard:
        assert (path, kind) == ("/v1/traces", "application/x-protobuf")
        told = ExportTraceServiceRequest.FromString(body)
        # A field that the protocol does not know would be lost here, or come in another order.
        told.DiscardUnknownFields()
        assert told.ByteSize() == len(body)
        assert b"private" not in body and KEY.encode() not in body


def test_the_spans_of_a_request_are_one_tree(heard):
    all_spans = [span for _, _, body in heard for span in spans(body)]
    assert len({span.span_id for span in all_spans}) == len(all_spans) == 6
    for span in all_spans:
        assert span.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c" and len(span.span_id) == 8
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
        # Sampled, and it is known whether the parent is remote: only the request's is.
        remote = span.parent_span_id.hex() == "b7ad6b7169203331"
        assert span.flags == 0x101 | (0x200 if remote else 0)
        assert remote or span.parent_span_id in {other.span_id for other in all_spans}
    assert sorted(span.kind for span in all_spans) == [2, 2, 3, 3, 3, 3]


def test_each_attribute_is_one_of_the_conventions(heard):
    known = known_names() | NEWER
    for span in (span for _, _, body in heard for span in spans(body)):
        names = [attribute.key for attribute in span.attributes]
        assert len(names) == len(set(names))
        for attribute in span.attributes:
            assert attribute.key in known or attribute.key.startswith("z2api."), attribute.key
            kind = attribute.value.WhichOneof("value")
            assert (kind == "double_value") == (attribute.key in DOUBLES), attribute
            assert (kind == "int_value") == (attribute.key in COUNTS), attribute


def test_the_resource_says_who_sends(heard):
    for _, _, body in heard:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            told = {one.key: one.value.string_value for one in resource.resource.attributes}
            assert told["service.name"] == "z2api" and told["service.version"]
            assert told["deployment.environment.name"] == "check"
