"""A stand-in for Amazon RDS's log API (query protocol of 2014-10-31) and STS: nothing one can install implements it.
It serves the files of real folders, checks every signature with botocore, and fails in all the ways that the real one
is known for. boto3's own client is held against it in test_aurora_aws.py.

    with Rds() as rds:
        rds.add("db-1", folder)                  # folder/slowquery/mysql-slowquery.log, folder/error/...
        rds.faults.append(Fault("DownloadDBLogFilePortion", "throttle", times=3))
        env = rds.env()                          # for a client: endpoint, region, keys
        rds.calls["DescribeDBLogFiles"]          # counted
"""
import collections
import datetime
import http.server
import os
import pathlib
import re
import threading
import time
import urllib.parse
import uuid
from email.utils import formatdate
from xml.sax.saxutils import escape

import botocore.auth
import botocore.awsrequest
import botocore.credentials

ACCESS, SECRET, REGION = "AKIDTESTWEIR", "s3cret/of+the=tests", "eu-test-1"
PORTION_BYTES = 1 << 20  # the service's own limit
SKEW_S = 15 * 60


class Fault:
    """kind: throttle, 500, 503, denied, cut (the connection breaks in the answer), hang, notfound"""

    def __init__(self, action, kind, times=1, instance=None, after_bytes=0):
        self.action, self.kind, self.times, self.instance = action, kind, times, instance
        self.after_bytes = after_bytes


class Instance:
    def __init__(self, name, folder, **more):
        self.name, self.folder = name, pathlib.Path(folder)
        self.engine = more.get("engine", "aurora-mysql")
        self.tags = more.get("tags", {})
        self.parameters = more.get("parameters", {"slow_query_log": "1", "log_output": "FILE"})

    def files(self):
        for path in sorted(self.folder.rglob("*")):
            if path.is_file():
                try:
                    st = path.stat()
                except FileNotFoundError:  # rotated meanwhile
                    continue
                yield str(path.relative_to(self.folder)), st.st_size, int(st.st_mtime * 1000)


class Rds:
    def __init__(self, portion_bytes=PORTION_BYTES, page=100, line_limit=10000):
        self.instances, self.faults, self.calls = {}, [], collections.Counter()
        self.portion_bytes, self.page, self.line_limit = portion_bytes, page, line_limit
        self.skew_s = 0            # of the service's clock against ours
        self.keys = {ACCESS: (SECRET, None, None)}  # access -> secret, token, expires (epoch seconds)
        self.refused = []          # why signatures were refused
        self.lock = threading.Lock()
        self.before_download = None  # called with (instance, file, marker) before a portion is read
        self.session_s = 3600
        self.bytes_sent = 0
        self.foreign_markers = "followed"  # those of a file's earlier name: followed, refused, or the beginning
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def date_time_string(self, timestamp=None):
                return formatdate(time.time() + server.skew_s, usegmt=True)

            def do_GET(self):
                server.handle(self, b"")

            def do_POST(self):
                server.handle(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

        class Threaded(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # a client that went away

        self.httpd = Threaded(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}"
        self.thread = threading.Thread(target=self.httpd.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.httpd.shutdown()
        self.httpd.server_close()

    def add(self, name, folder, **more):
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        self.instances[name] = Instance(name, folder, **more)
        return self.instances[name]

    def env(self, **more):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return {**clean, "AWS_ENDPOINT_URL_RDS": self.url, "AWS_ENDPOINT_URL_STS": self.url, "AWS_REGION": REGION,
                "AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true",
                "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", **more}

    # -- requests --

    def handle(self, h, body):
        url = urllib.parse.urlsplit(h.path)
        form = dict(urllib.parse.parse_qsl(body.decode()))
        whole = url.path.startswith("/v13/downloadCompleteLogFile/")
        action = "downloadCompleteLogFile" if whole else form.get("Action", "")
        instance = url.path.split("/")[3] if whole else form.get("DBInstanceIdentifier", "")
        with self.lock:
            self.calls[action] += 1
            fault = next((f for f in self.faults if f.action in (action, "*") and f.times > 0
                          and f.instance in (None, instance)), None)
            if fault:
                fault.times -= 1
        kind = fault.kind if fault else None
        if action != "AssumeRoleWithWebIdentity":
            refusal = self.check_signature(h, body)
            if refusal:
                self.refused.append(refusal)
                return self.error(h, 403, *refusal)
        if kind == "throttle":
            return self.error(h, 400, "Throttling", "Rate exceeded")
        if kind in ("500", "503"):
            return self.error(h, int(kind), "InternalFailure" if kind == "500" else "ServiceUnavailable", "Try again")
        if kind == "denied":
            return self.error(h, 403, "AccessDenied", f"User is not authorized to perform: rds:{action}")
        if kind == "notfound":
            return self.error(h, 404, "DBLogFileNotFoundFault", "gone")
        if kind == "hang":
            time.sleep(3)
            h.close_connection = True
            return None
        try:
            if whole:
                return self.whole_file(h, url.path, fault)
            method = getattr(self, "do_" + action, None)
            if not method:
                return self.error(h, 400, "InvalidAction", f"no action {action}")
            return self.answer(h, action, method(form), cut=kind == "cut")
        except ValueError as e:
            return self.error(h, 400, *e.args)
        except KeyError as e:
            return self.error(h, 404, *e.args[0] if isinstance(e.args[0], tuple) else ("Missing", str(e)))

    def send(self, h, status, data, content_type="text/xml", cut=False):
        h.send_response(status)
        h.send_header("Content-Type", content_type)
        h.send_header("Content-Length", str(len(data)))
        h.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        h.end_headers()
        if cut:
            h.wfile.write(data[:len(data) // 2])
            h.close_connection = True
        else:
            h.wfile.write(data)
        self.bytes_sent += len(data)

    def answer(self, h, action, result, cut=False):
        name = "https://sts.amazonaws.com/doc/2011-06-15/" if action.startswith("Assume") \
            else "http://rds.amazonaws.com/doc/2014-10-31/"
        head = f'<{action}Response xmlns="{name}"><{action}Result>'.encode()
        tail = (f"</{action}Result><ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
                f"</{action}Response>").encode()
        result = result if isinstance(result, bytes) else result.encode()
        self.send(h, 200, head + result + tail, cut=cut)

    def error(self, h, status, code, message):
        self.send(h, status, (f'<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error>'
                              f"<Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
                              f"<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>").encode())

    def check_signature(self, h, body):
        """None, or why it is refused. The signature is made again by botocore from what came over the wire."""
        given = h.headers.get("Authorization", "")
        if not given.startswith("AWS4-HMAC-SHA256 "):
            return "MissingAuthenticationToken", "Request is missing Authentication Token"
        parts = dict(p.strip().split("=", 1) for p in given.split(" ", 1)[1].split(","))
        access, day, region, service, _ = parts["Credential"].split("/")
        if access not in self.keys:
            return "InvalidClientTokenId", "The security token included in the request is invalid."
        secret, token, expires = self.keys[access]
        if h.headers.get("X-Amz-Security-Token") != token:
            return "InvalidClientTokenId", "The security token included in the request is invalid."
        if expires and time.time() > expires:
            return "ExpiredToken", "The security token included in the request is expired"
        date = datetime.datetime.strptime(h.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        now = time.time() + self.skew_s
        if abs(date.timestamp() - now) > SKEW_S:
            return "SignatureDoesNotMatch", f"Signature expired or not yet current: {h.headers['X-Amz-Date']}"
        if region != REGION or day != date.strftime("%Y%m%d"):
            return "SignatureDoesNotMatch", "Credential should be scoped to a valid region."
        signed = parts["SignedHeaders"].split(";")
        if "host" not in signed or "x-amz-date" not in signed:
            return "SignatureDoesNotMatch", "host and x-amz-date must be signed"
        request = botocore.awsrequest.AWSRequest(
            method=h.command, url=f"http://{h.headers['Host']}{h.path}", data=body,
            headers={k: v for k, v in h.headers.items() if k.lower() in signed and k.lower() != "host"})
        auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials(access, secret, token), service, region)
        request.context["timestamp"] = h.headers["X-Amz-Date"]
        text = auth.string_to_sign(request, auth.canonical_request(request))
        if auth.signature(text, request) != parts["Signature"]:
            return "SignatureDoesNotMatch", "The request signature we calculated does not match"
        return None

    # -- STS --

    def give_keys(self):
        access = "ASIA" + uuid.uuid4().hex[:16].upper()
        expires = time.time() + self.session_s
        self.keys[access] = ("secret-" + uuid.uuid4().hex, "token/" + uuid.uuid4().hex + "==", expires)
        secret, token, _ = self.keys[access]
        when = datetime.datetime.fromtimestamp(expires, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return access, secret, token, when

    def credentials(self, form):
        access, secret, token, when = self.give_keys()
        return (f"<Credentials><AccessKeyId>{access}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
                f"<SessionToken>{token}</SessionToken><Expiration>{when}</Expiration></Credentials>"
                f"<AssumedRoleUser><Arn>{escape(form['RoleArn'])}</Arn><AssumedRoleId>x:y</AssumedRoleId>"
                f"</AssumedRoleUser>")

    def do_AssumeRole(self, form):
        return self.credentials(form)

    def do_AssumeRoleWithWebIdentity(self, form):
        if form["WebIdentityToken"] != "the-web-token":
            raise KeyError(("InvalidIdentityToken", "bad token"))
        return self.credentials(form)

    # -- RDS --

    def instance(self, form):
        name = form.get("DBInstanceIdentifier", "")
        if name not in self.instances:
            raise KeyError(("DBInstanceNotFound", f"DBInstance {name} not found."))
        return self.instances[name]

    def pages(self, items, form, size):
        size = min(int(form.get("MaxRecords", size)), size)
        start = int(form["Marker"].split("-")[1]) if form.get("Marker") else 0
        more = start + size < len(items)
        return items[start:start + size], f"<Marker>page-{start + size}</Marker>" if more else ""

    def do_DescribeDBInstances(self, form):
        wanted = [form[k] for k in form if k.startswith("Filters.Filter.1.Values")]
        items = [i for i in self.instances.values() if not wanted or i.engine in wanted]
        page, marker = self.pages(items, form, self.page)
        return "<DBInstances>" + "".join(
            f"<DBInstance><DBInstanceIdentifier>{i.name}</DBInstanceIdentifier><Engine>{i.engine}</Engine>"
            f"<EngineVersion>8.0.mysql_aurora.3.05.2</EngineVersion><DBInstanceStatus>available</DBInstanceStatus>"
            f"<DBInstanceClass>db.r6g.2xlarge</DBInstanceClass><DBClusterIdentifier>c-{i.name}</DBClusterIdentifier>"
            f"<DBParameterGroups><DBParameterGroup><DBParameterGroupName>pg-{i.name}</DBParameterGroupName>"
            f"</DBParameterGroup></DBParameterGroups><TagList>"
            + "".join(f"<Tag><Key>{escape(k)}</Key><Value>{escape(v)}</Value></Tag>" for k, v in i.tags.items())
            + "</TagList></DBInstance>" for i in page) + "</DBInstances>" + marker

    def do_DescribeDBParameters(self, form):
        i = self.instances[form["DBParameterGroupName"].removeprefix("pg-")]
        page, marker = self.pages(list(i.parameters.items()), form, self.page)
        return "<Parameters>" + "".join(
            f"<Parameter><ParameterName>{k}</ParameterName><ParameterValue>{escape(v)}</ParameterValue></Parameter>"
            for k, v in page) + "</Parameters>" + marker

    def do_DescribeDBLogFiles(self, form):
        items = [f for f in self.instance(form).files()
                 if form.get("FilenameContains", "") in f[0] and f[1] >= int(form.get("FileSize", 0))
                 and f[2] >= int(form.get("FileLastWritten", 0))]
        page, marker = self.pages(items, form, self.page)
        return "<DescribeDBLogFiles>" + "".join(
            f"<DescribeDBLogFilesDetails><LastWritten>{written}</LastWritten><LogFileName>{escape(name)}</LogFileName>"
            f"<Size>{size}</Size></DescribeDBLogFilesDetails>"
            for name, size, written in page) + "</DescribeDBLogFiles>" + marker

    def path(self, instance, file):
        path = instance.folder / file
        if not path.is_file():
            raise KeyError(("DBLogFileNotFoundFault", f"DBLog File: {file}, is not found on the DB instance"))
        return path

    def do_DownloadDBLogFilePortion(self, form):
        i = self.instance(form)
        file, marker = form["LogFileName"], form.get("Marker", "")
        if self.before_download:
            self.before_download(i.name, file, marker)
        lines = int(form.get("NumberOfLines", self.line_limit))
        with open(self.path(i, file), "rb") as f:
            size = os.fstat(f.fileno()).st_size
            at = max(0, size - self.portion_bytes) if marker == "" else int(marker.split(":")[-1])
            if self.foreign_markers != "followed" and at and marker != self.marker(file, at):
                if self.foreign_markers == "refused":
                    raise ValueError("InvalidParameterValue", f"{marker} is no marker of {file}")
                at = 0
            f.seek(at)
            data = f.read(self.portion_bytes)
        cut, found = 0, -1
        for _ in range(lines):
            found = data.find(b"\n", found + 1)
            if found < 0:
                break
            cut = found + 1
        data = data if found < 0 else data[:cut]
        if at + len(data) < size:  # lines are cut, characters are not: boto3 could not read that
            while len(data) > 1 and data[-1] & 0xC0 == 0x80:
                data = data[:-1]
            if data[-1] >= 0xC0:
                data = data[:-1]
        at += len(data)
        return (b"<LogFileData>" + self.text(data) + f"</LogFileData><Marker>{self.marker(file, at)}</Marker>"
                f"<AdditionalDataPending>{'true' if at < size else 'false'}</AdditionalDataPending>".encode())

    @staticmethod
    def marker(file, at):
        return f"{sum(file.encode()) % 24}:{at}"

    @staticmethod
    def text(data):
        """As the service does: what XML cannot say is a reference that XML forbids, or goes out as it is."""
        return re.sub(rb"[\x00-\x08\x0b-\x1f&<>]", lambda m: b"&#x%x;" % m.group()[0], data)

    def whole_file(self, h, path, fault):
        _, _, _, name, file = path.split("/", 4)
        i = self.instances[urllib.parse.unquote(name)]
        with open(self.path(i, urllib.parse.unquote(file)), "rb") as f:
            size = os.fstat(f.fileno()).st_size
            h.send_response(200)
            h.send_header("Content-Type", "binary/octet-stream")
            h.send_header("Transfer-Encoding", "chunked")
            h.end_headers()
            sent = 0
            while sent < size:
                piece = f.read(min(64 << 10, size - sent))
                if fault and fault.kind == "cut" and sent + len(piece) > fault.after_bytes:
                    h.wfile.write(b"%x\r\n%s" % (len(piece), piece[:len(piece) // 2]))
                    h.close_connection = True
                    return
                h.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                sent += len(piece)
                self.bytes_sent += len(piece)
            h.wfile.write(b"0\r\n\r\n")


