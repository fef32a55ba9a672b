"""What users can get wrong, each said in a line that docs/compose.md has, and nothing lost by it."""
import contextlib
import json
import os
import re
import shutil
import socket
import tempfile
import time
from pathlib import Path

from stack import BASE, PROJECT, ROOT, Stack, answer, nothing_lost, post, run, say, until

PIPELINES = "/opt/millrace/pipelines"
SECRET = "hush-8261"


def mistakes(stack, taken):
    nothing_can_start(stack)
    port_in_use(stack)
    memory_too_small()
    wrong_pipeline(stack)
    for what, uri, says in (
        ("name", "mongodb://nowhere:27017", "nowhere:27017"),
        ("password", f"mongodb://millrace:{SECRET}@mongo:27017/?authSource=admin", "uthentication failed"),
    ):
        mongodb_is_wrong(stack, taken, what, uri, says)
    nothing_lost(stack, taken)


def one_line(done, *says):
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(said) == 1, (done.returncode, done.stdout, done.stderr)
    assert all(word in said[0] for word in says), said[0]
    say("  says:", said[0])


def nothing_can_start(stack):
    alone = ["run", "--rm", "--no-deps"]
    one_line(stack.compose(*alone, "-e", "KAFKA_BROKERS=nowhere:9092", "topics", check=False), "nowhere:9092")
    read_only = f"{PROJECT}_state:/var/lib/millrace:ro"
    one_line(stack.compose(*alone, "-v", read_only, "worker", check=False), "/var/lib/millrace", "Read-only")
    full = ["--tmpfs", "/var/lib/millrace:uid=65532,mode=700,size=64k"]
    one_line(run(*beside("--rm", *full), check=False), "/var/lib/millrace", "No space left")
    say("a broker's name that is wrong, a state volume that cannot be written, one that is full: a line each")


def beside(*words):
    """A worker that compose knows nothing of, with what compose cannot say."""
    settings = ["-e", "KAFKA_BROKERS=kafka:9092", "-e", "MONGODB_URI=mongodb://mongo:27017", "-e", "HDFS_SINK=false"]
    image = f"millrace:{os.environ.get('MILLRACE_TAG', 'latest')}"
    return ["docker", "run", "--network", f"{PROJECT}_default", "--read-only", *settings, *words, image]


def port_in_use(stack):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        wrong = stack.compose("up", "-d", "--no-build", KAFKA_PORT=port, check=False)
    said = wrong.stdout + wrong.stderr
    assert wrong.returncode != 0 and f":{port}" in said and "already in use" in said, said
    say("a port in use:", next(line for line in said.splitlines() if "already in use" in line).strip())
    stack.up()


def memory_too_small():
    name = f"{PROJECT}-small"
    state = ["--tmpfs", "/var/lib/millrace:uid=65532,mode=700"]
    small = beside("--name", name, "--memory", "24m", "--memory-swap", "24m", *state)
    try:
        wrong = run(*small, check=False)
        killed = run("docker", "inspect", "-f", "{{.State.OOMKilled}}", name).strip()
    finally:
        run("docker", "rm", "-f", name, check=False)
    assert (wrong.returncode, killed) == (137, "true"), (wrong, killed)
    say("a memory limit of 24 MB: killed with 137, and Docker says OOMKilled")


@contextlib.contextmanager
def pipelines(change):
    """A compose file that puts a changed copy of the pipelines in the place of those that ship."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy = Path(folder) / "pipelines"
        shutil.copytree(ROOT / "pipelines", copy)
        file = copy / "flight-delay.toml"
        file.write_text(change(file.read_text()))
        mount = {"volumes": [f"{copy}:{PIPELINES}:ro"]}
        laid_over = Path(folder) / "compose.yml"
        laid_over.write_text(json.dumps({"services": {"worker": mount, "topics": mount}}))
        yield str(laid_over)


def wrong_pipeline(stack):
    misspelt = lambda text: text.replace("\nunknown_category ", "\nunknown_categry ", 1)
    with pipelines(misspelt) as laid_over:
        wrong = Stack([*stack.files, laid_over])
        wrong.compose("up", "-d", "--no-build", "--no-deps", "worker")
        time.sleep(20)
        starts = [container["RestartCount"] for container in wrong.inspect("worker")]
        said = wrong.logs("worker")
    # Docker waits 0.1 s, and then twice as long each time
    assert all(2 <= count <= 9 for count in starts), starts
    assert "error: unknown key `unknown_categry` in `stages.model`" in said, said
    assert "did you mean `unknown_category`?" in said, said
    say(f"a pipeline that is wrong: what check says, and {starts} starts in 20 s")
    stack.up()


def mongodb_is_wrong(stack, taken, what, uri, says):
    stack.compose("up", "-d", "--no-build", MONGODB_URI=uri)
    until("workers without MongoDB are ready", lambda: all(row == "running healthy" for row in stack.states("worker")))
    flight = post()
    taken.append(flight)
    until("the answer, in the topic", lambda: flight in stack.topic_by_kafka("flight-delay-ml-response"))
    line = f"sink is down; it is tried again, and the head does not wait for it.*{re.escape(says)}"
    until("the log says so", lambda: re.search(line, stack.logs("worker")))
    told = json.dumps(stack.statuses()) + json.dumps(stack.cluster()) + stack.logs("worker") + stack.logs("web")
    assert SECRET not in told, "a password is told"
    stack.up()
    say(f"a MongoDB whose {what} is wrong: answers come all the same, and it has them once that is right")


def secrets(taken):
    """MongoDB's address from a file, by examples/compose/secrets.yml."""
    from_file = lambda text: re.sub(r"(?m)^uri = .*MONGODB_URI.*$", 'uri = "${file:/run/secrets/mongodb-uri}"', text)
    with pipelines(from_file) as laid_over, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mongodb-uri"
        file.write_text(f"mongodb://mongo:27017/?appName={SECRET}\n")
        stack = Stack([*BASE, "examples/compose/secrets.yml", laid_over])
        named = {"MONGODB_URI_SECRET": str(file)}
        file.chmod(0o600)
        refused = stack.compose("run", "--rm", "--no-deps", "topics", check=False, **named)
        one_line(refused, "/run/secrets/mongodb-uri", "Permission denied")
        # nobody else enters the folder
        file.chmod(0o644)
        stack.up(**named)
        flight = post()
        taken.append(flight)
        until("the answer, by the page", lambda: answer(flight))
        told = json.dumps([stack.inspect(service) for service in ("worker", "web", "topics")])
        told += json.dumps(stack.statuses()) + json.dumps(stack.cluster()) + stack.logs("worker") + stack.logs("web")
        assert SECRET not in told, "what a secret file holds is told"
        say("MongoDB's address from a file: it is used, and nowhere to be seen; one of mode 600 is a line")
    Stack(BASE).up()
    nothing_lost(Stack(BASE), taken)
