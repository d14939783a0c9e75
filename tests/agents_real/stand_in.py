#!/usr/bin/env python3
"""A model server that is none: it speaks the protocols of four providers well enough that a coding agent
creates one file with it and stops.

    stand_in.py FILE TEXT [--port N]

It prints its port, and one line for each request. The first directory of a request's path selects the behavior:
`ok` works; `s401`, `s429` and so on answer every request with that status; `spin` asks for the same
command over and over. Without such a directory it works.
"""

import argparse
import json
import re
import shlex
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ERRORS = {
    400: ("invalid_request_error", "the request was not understood"),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("insufficient_quota", "You exceeded your current quota, please check your plan and billing details."),
    404: ("not_found_error", "The model `stand-in` does not exist or you do not have access to it."),
    429: ("rate_limit_error", "Rate limit reached"),
    500: ("api_error", "something broke"),
    529: ("overloaded_error", "Overloaded"),
}
CODES = {401: "invalid_api_key", 402: "insufficient_quota", 404: "model_not_found", 429: "rate_limit_exceeded"}
SHELLS = ["Bash", "bash", "exec_command", "shell_command", "shell", "run_shell_command", "developer__shell"]


class Plan:
    """What the model 'decides', whoever asks: a shell command, then a word."""

    def __init__(self, path, text):
        self.path, self.text = path, text

    def command(self, mode, answered):
        if mode == "spin":
            return "cat no-such-file"
        if answered == 0:
            directory = self.path.rpartition("/")[0]
            make = f"mkdir -p {shlex.quote(directory)} && " if directory else ""
            return f"{make}printf '%s\\n' {shlex.quote(self.text)} > {shlex.quote(self.path)}"
        return None

    def edit(self, system):
        """For an agent without tools: a file in the form that its instructions name."""
        if "SEARCH/REPLACE" in system:
            return f"Done.\n\n{self.path}\n```\n<<<<<<< SEARCH\n=======\n{self.text}\n>>>>>>> REPLACE\n```\n"
        return f"Done.\n\n{self.path}\n```\n{self.text}\n```\n"


def arguments_for(tool, command):
    """The arguments of whichever shell tool the agent offers."""
    schema = tool.get("input_schema") or tool.get("parameters") or tool.get("parametersJsonSchema") or {}
    known = schema.get("properties", {})
    key = "cmd" if "cmd" in known else "command"
    value = ["bash", "-lc", command] if known.get(key, {}).get("type") == "array" else command
    arguments = {key: value}
    if "description" in schema.get("required", []):
        arguments["description"] = "Write the file"
    return arguments


def shell_among(tools):
    named = {tool.get("name"): tool for tool in tools if tool.get("name")}
    return next((named[name] for name in SHELLS if name in named), None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self):
        self.reply({"object": "list", "data": [{"id": "stand-in", "object": "model"}], "models": []})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        mode = re.match(r"/(ok|spin|s\d{3})/", self.path)
        self.mode = mode.group(1) if mode else "ok"
        if self.server.requests:
            with open(self.server.requests, "a") as file:
                file.write(json.dumps({"path": self.path, "headers": dict(self.headers), "body": body}) + "\n")
        route = self.path.split("?")[0]
        print("POST", self.path, f"{len(body.get('tools') or [])} tools", flush=True)
        if self.mode.startswith("s"):
            if self.mode != "spin":
                return self.fail(int(self.mode[1:]), route)
        if route.endswith("/count_tokens") or route.endswith(":countTokens"):
            return self.reply({"input_tokens": 100, "totalTokens": 100})
        if route.endswith("/messages"):
            return self.anthropic(body)
        if route.endswith("/responses"):
            return self.openai_responses(body)
        if route.endswith("/chat/completions"):
            return self.openai_chat(body)
        if "enerateContent" in route:
            return self.gemini(body, route)
        return self.reply({})

    # How things are sent.

    def reply(self, value, status=200, headers=()):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, text in headers:
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, events, named=True, done=False):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for event in events:
            if named:
                self.wfile.write(f"event: {event['type']}\n".encode())
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        if done:
            self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def fail(self, status, route):
        kind, message = ERRORS.get(status, ("api_error", f"status {status}"))
        headers = [("retry-after", "3600")] if status in (429, 529) else []
        if route.endswith("/messages"):
            value = {"type": "error", "error": {"type": kind, "message": message}}
        elif "enerateContent" in route:
            name = {401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}.get(status, "INTERNAL")
            value = {"error": {"code": status, "message": message, "status": name}}
        else:
            value = {"error": {"message": message, "type": kind, "param": None, "code": CODES.get(status)}}
        self.reply(value, status, headers)

    # Anthropic Messages.

    def anthropic(self, body):
        results = sum(
            part.get("type") == "tool_result"
            for message in body.get("messages", [])
            for part in (message["content"] if isinstance(message["content"], list) else [])
        )
        tool = shell_among(body.get("tools") or [])
        command = self.server.plan.command(self.mode, results) if tool else None
        if command:
            block = {"type": "tool_use", "id": f"toolu_{results}", "name": tool["name"], "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments_for(tool, command))}
            reason = "tool_use"
        else:
            block = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": "Done."}
            reason = "end_turn"
        usage = {"input_tokens": 120, "output_tokens": 1, "cache_creation_input_tokens": 300, "cache_read_input_tokens": 800}
        message = {"id": f"msg_{results}", "type": "message", "role": "assistant", "model": body.get("model"),
                   "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
        if not body.get("stream"):
            content = [{"type": "text", "text": "Done."}]
            return self.reply({**message, "content": content, "stop_reason": "end_turn", "usage": {**usage, "output_tokens": 40}})
        self.stream([
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 40}},
            {"type": "message_stop"},
        ])

    # OpenAI Responses.

    def openai_responses(self, body):
        items = body.get("input", [])
        results = sum(item.get("type", "").endswith("call_output") for item in items if isinstance(item, dict))
        tool = shell_among(body.get("tools") or [])
        command = self.server.plan.command(self.mode, results) if tool else None
        if command:
            item = {"type": "function_call", "id": f"fc_{results}", "call_id": f"call_{results}", "name": tool["name"],
                    "arguments": json.dumps(arguments_for(tool, command)), "status": "completed"}
        else:
            item = {"type": "message", "id": f"msg_{results}", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}
        usage = {"input_tokens": 1000, "input_tokens_details": {"cached_tokens": 800}, "output_tokens": 50,
                 "output_tokens_details": {"reasoning_tokens": 10}, "total_tokens": 1050}
        response = {"id": f"resp_{results}", "object": "response", "model": body.get("model"), "status": "completed",
                    "created_at": int(time.time()), "output": [item], "usage": usage}
        if not body.get("stream"):
            return self.reply(response)
        self.stream([
            {"type": "response.created", "response": {**response, "status": "in_progress", "output": [], "usage": None}},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response},
        ])

    # OpenAI chat completions.

    def openai_chat(self, body):
        said = body.get("messages", [])
        results = sum(message.get("role") == "tool" for message in said)
        tools = [tool.get("function", {}) for tool in body.get("tools") or []]
        tool = shell_among(tools)
        system = json.dumps(said)
        message, reason = {"role": "assistant", "content": "Done."}, "stop"
        if tool:
            command = self.server.plan.command(self.mode, results)
            if not command and "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT" in system:
                command = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
            if command:
                function = {"name": tool["name"], "arguments": json.dumps(arguments_for(tool, command))}
                call = {"id": f"call_{results}", "type": "function", "function": function}
                message, reason = {"role": "assistant", "content": "", "tool_calls": [call]}, "tool_calls"
        elif not tools:
            message["content"] = self.server.plan.edit(system)
        usage = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
                 "prompt_tokens_details": {"cached_tokens": 800}}
        head = {"id": "chatcmpl-1", "created": int(time.time()), "model": body.get("model")}
        if not body.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": reason}
            return self.reply({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        delta = dict(message)
        if "tool_calls" in delta:
            delta["tool_calls"] = [{**call, "index": 0} for call in delta["tool_calls"]]
        chunk = {**head, "object": "chat.completion.chunk"}
        self.stream([
            {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {**chunk, "choices": [], "usage": usage},
        ], named=False, done=True)

    # Gemini.

    def gemini(self, body, route):
        parts = [part for content in body.get("contents", []) for part in content.get("parts", [])]
        results = sum("functionResponse" in part for part in parts)
        tools = [tool for group in body.get("tools") or [] for tool in group.get("functionDeclarations", [])]
        tool = shell_among(tools)
        command = self.server.plan.command(self.mode, results) if tool else None
        if command:
            part = {"functionCall": {"name": tool["name"], "args": arguments_for(tool, command)}}
        else:
            part = {"text": "Done."}
        schema = body.get("generationConfig", {}).get("responseJsonSchema")
        if schema:
            part = {"text": json.dumps({key: "" for key in schema.get("required", [])})}
        usage = {"promptTokenCount": 1000, "cachedContentTokenCount": 800, "candidatesTokenCount": 50, "totalTokenCount": 1050}
        value = {"candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}],
                 "usageMetadata": usage, "modelVersion": "stand-in"}
        if route.endswith(":generateContent"):
            return self.reply(value)
        self.stream([value], named=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("text")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--requests", help="append each request to this file")
    arguments = parser.parse_args()
    server = ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    server.daemon_threads = True
    server.plan, server.requests = Plan(arguments.file, arguments.text), arguments.requests
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
