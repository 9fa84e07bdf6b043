"""A tool server in the Model Context Protocol, for agents to ask: it knows the tide at any port."""

import json
import sys

TOOL = {
    "name": "tide_at",
    "description": "The tide at a port.",
    "inputSchema": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]},
}


def result(method, params):
    if method == "initialize":
        about = {"name": "tides", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        text = f"The tide at {params['arguments']['port']} is high."
        return {"content": [{"type": "text", "text": text}], "isError": False}
    return {}


for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": result(asked["method"], asked.get("params"))}
        print(json.dumps(answer), flush=True)
