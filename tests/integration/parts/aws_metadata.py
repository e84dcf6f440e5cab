"""A stand-in for the two endpoints that hand keys to what runs at AWS: the container's (ECS, EKS Pod Identity) and the
instance's metadata (IMDSv2). Both want what AWS's want: the container's authorization token; a session token, fetched by
PUT with its time to live, which a call of version 1 does not have."""
import collections
import http.server
import json
import threading

CONTAINER_TOKEN = "Basic container-token"
ROLE = "collector-role"


class Metadata:
    """Keys come from an Rds, which then takes them: as many as are asked for, each good for rds.session_s."""

    def __init__(self, rds):
        self.rds, self.calls, self.broken, self.refused = rds, collections.Counter(), False, []
        self.given, self.token = [], "session+token/=="
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self, status, text=""):
                if status != 200:
                    server.refused.append((self.command, self.path, status))
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_PUT(self):
                server.calls["token"] += 1
                if server.broken:
                    return self.answer(500)
                ttl = self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
                if self.path != "/latest/api/token" or not ttl.isdigit() or not 1 <= int(ttl) <= 21600:
                    return self.answer(400)
                return self.answer(200, server.token)

            def do_GET(self):
                if server.broken:
                    return self.answer(500)
                if self.path == "/keys":
                    server.calls["container"] += 1
                    return self.keys(self.headers.get("Authorization") == CONTAINER_TOKEN)
                allowed = self.headers.get("X-aws-ec2-metadata-token") == server.token
                base = "/latest/meta-data/iam/security-credentials/"
                if self.path == base:
                    server.calls["role"] += 1
                    return self.answer(200, ROLE) if allowed else self.answer(401)
                if self.path == base + ROLE:
                    server.calls["instance"] += 1
                    return self.keys(allowed)
                return self.answer(404)

            def keys(self, allowed):
                if not allowed:
                    return self.answer(401)
                access, secret, token, expires = server.rds.give_keys()
                server.given.append((access, secret, token))
                return self.answer(200, json.dumps({
                    "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2025-08-03T15:30:45Z", "AccessKeyId": access,
                    "SecretAccessKey": secret, "Token": token, "Expiration": expires}))

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        self.thread = threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.httpd.shutdown()
        self.httpd.server_close()
