#!/usr/bin/env python3
"""The whole scenario under a Docker engine, seen from outside: ./dev compose-test.

First docker-compose.yml alone, then docker-compose.hdfs.yml laid over what that left. Flights are posted as the page
does; each hop is looked at; each container is killed while flights are posted; workers go from one to three and back;
everything is taken down and up again. Nothing may be lost, and nothing be there twice. What users can get wrong is said in one line, and
README.md's own commands print what stands there.
"""
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "millrace-test"
PORTS = {"WEB_PORT": "15001", "KAFKA_PORT": "19094", "MONGODB_PORT": "37017", "NAMENODE_PORT": "19870", "DATANODE_PORT": "19864"}
PAGE = f"http://127.0.0.1:{PORTS['WEB_PORT']}"
ROUTES = PAGE + "/flights/delays/predict"
NAMENODE = f"http://127.0.0.1:{PORTS['NAMENODE_PORT']}"
DIRECTORY = "/user/flight_predictions"
FLIGHT = {"DepDelay": "12", "Carrier": "UA", "FlightDate": "2013-05-06", "Dest": "SFO", "Origin": "EWR", "FlightNum": "1"}
# longer than anything takes here: what takes longer has failed
PATIENCE_SECONDS = 240
BASE = ["docker-compose.yml"]
WITH_HDFS = ["docker-compose.yml", "docker-compose.hdfs.yml"]


def say(*words):
    print("·", *words, file=sys.stderr, flush=True)


def run(*command, check=True, **environment):
    environment = {**os.environ, **PORTS, **environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout if check else done


def until(what, look):
    """What `look` answers once it is not false; its errors of the network are answers that are not there yet."""
    deadline, last = time.monotonic() + PATIENCE_SECONDS, None
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except (OSError, AssertionError, ValueError, KeyError) as error:
            last = error
        time.sleep(0.5)
    raise AssertionError(f"{what} did not happen within {PATIENCE_SECONDS} s; last: {last}")


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


class Stack:
    def __init__(self, files):
        self.files = files

    def compose(self, *words, check=True, **environment):
        files = [word for file in self.files for word in ("-f", file)]
        return run("docker", "compose", "-p", PROJECT, *files, *words, check=check, **environment)

    def up(self, *words, **environment):
        self.compose("up", "-d", "--no-build", *words, **environment)
        self.healthy()

    def down(self, *words):
        self.compose("down", *words)

    def containers(self, service):
        return self.compose("ps", "-q", service).split()

    def healthy(self):
        until("every container healthy", lambda: all(row == "running healthy" for row in self.states()))

    def states(self, *services):
        ids = self.compose("ps", "-q", *services).split()
        return run("docker", "inspect", "-f", "{{.State.Status}} {{.State.Health.Status}}", *ids).splitlines()

    def crash(self, service):
        """As a process that dies: the restart policy brings it back."""
        container = self.containers(service)[0]
        started = run("docker", "inspect", "-f", "{{.State.StartedAt}}", container)
        pid = int(run("docker", "inspect", "-f", "{{.State.Pid}}", container))
        os.kill(pid, signal.SIGKILL)
        again = lambda: run("docker", "inspect", "-f", "{{.State.StartedAt}}", container) != started
        until(f"{service} started again by itself", again)
        self.healthy()

    def logs(self, service):
        return self.compose("logs", "--no-log-prefix", service)

    # the hops, each as README.md looks at it

    def topic(self, name):
        lines = self.compose("exec", "-T", "worker", "millrace", "consume", name).splitlines()
        return [json.loads(line) for line in lines]

    def topic_by_kafka(self, name):
        tool = "/opt/kafka/bin/kafka-console-consumer.sh"
        words = ["--bootstrap-server", "kafka:9092", "--topic", name, "--from-beginning", "--timeout-ms", "15000"]
        return self.compose("exec", "-T", "kafka", tool, *words, "--isolation-level", "read_committed")

    def mongo(self, script):
        return self.compose("exec", "-T", "mongo", "mongosh", "--quiet", "agile_data_science", "--eval", script)

    def documents(self):
        return int(self.mongo("db.flight_delay_ml_response.countDocuments({})"))

    def hdfs(self):
        listed = json.loads(get(f"{NAMENODE}/webhdfs/v1{DIRECTORY}?op=LISTSTATUS"))["FileStatuses"]["FileStatus"]
        files = [entry["pathSuffix"] for entry in listed if entry["type"] == "FILE"]
        return [json.loads(line) for file in files for line in read_hdfs(f"{DIRECTORY}/{file}").splitlines()]

    def cluster(self):
        """What the cluster page shows of the one application."""
        told = json.loads(get(f"{PAGE}/cluster/status"))["applications"]
        assert [application["pipeline"] for application in told] == ["flight-delay"], told
        return told[0]

    def statuses(self):
        return [json.loads(run("docker", "exec", name, "millrace", "status")) for name in self.containers("worker")]


def read_hdfs(path):
    """The NameNode names the DataNode as the containers know it."""
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    try:
        urllib.request.build_opener(Stay).open(f"{NAMENODE}/webhdfs/v1{path}?op=OPEN", timeout=30)
    except urllib.error.HTTPError as told:
        place = urllib.parse.urlsplit(told.headers["Location"])
        return get(place._replace(netloc=f"127.0.0.1:{PORTS['DATANODE_PORT']}").geturl())
    raise AssertionError("the NameNode did not say where the file is")


def post():
    with urllib.request.urlopen(f"{ROUTES}/classify_realtime", urllib.parse.urlencode(FLIGHT).encode(), timeout=30) as said:
        answer = json.load(said)
    assert answer["status"] == "OK", answer
    return answer["id"]


def answer(flight):
    told = json.loads(get(f"{ROUTES}/classify_realtime/response/{flight}"))
    return told if told["status"] == "OK" else None


class Posting:
    """Flights, one after another, as long as the block lasts; what was taken is in `taken`."""

    def __init__(self, taken):
        self.taken, self.ends, self.refused = taken, threading.Event(), 0
        self.thread = threading.Thread(target=self.go)

    def go(self):
        while not self.ends.wait(0.1):
            try:
                self.taken.append(post())
            except (OSError, AssertionError, ValueError):
                self.refused += 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()


def nothing_lost(stack, taken, archived_since=None):
    """Each flight that the page took is in each place, and no row is in one twice."""
    for flight in taken:
        until(f"the answer to {flight}", lambda: answer(flight))

    def settled():
        rows = [row["UUID"] for row in stack.topic("flight-delay-ml-response")]
        assert len(rows) == len(set(rows)), "rows are in the response topic twice"
        assert set(taken) <= set(rows), f"not in the response topic: {set(taken) - set(rows)}"
        documents = stack.documents()
        assert documents == len(rows), f"{documents} documents, {len(rows)} rows"
        if archived_since is not None:
            archived = [row["UUID"] for row in stack.hdfs()]
            assert len(archived) == len(set(archived)), "rows are in HDFS twice"
            missing = set(taken[archived_since:]) - set(archived)
            assert not missing and set(archived) <= set(rows), f"not in HDFS: {missing}"
        return len(rows)

    say(f"  {until('every place with the same rows', settled)} rows, each once in each place; {len(taken)} flights were taken")


def each_hop(stack, taken, with_hdfs):
    say("each hop of one flight")
    assert "flight" in get(f"{ROUTES}_kafka").lower(), "the page"
    flight = post()
    taken.append(flight)
    event = get(f"{ROUTES}/kafka_event_stream/{flight}")
    assert flight in event and '"Prediction":' in event, event
    until("the document, by the page", lambda: answer(flight))
    for topic in ("flight-delay-ml-request", "flight-delay-ml-response"):
        until(f"the flight in {topic}", lambda: flight in stack.topic_by_kafka(topic))
    document = stack.mongo(f'EJSON.stringify(db.flight_delay_ml_response.findOne({{ UUID: "{flight}" }}))')
    assert json.loads(document)["Prediction"] is not None, document
    if with_hdfs:
        until("the row in HDFS", lambda: flight in [row["UUID"] for row in stack.hdfs()])
        assert "Hadoop" in get(f"{NAMENODE}/index.html") or "dfshealth" in get(f"{NAMENODE}/index.html"), "the NameNode's page"
        listed = json.loads(get(f"{NAMENODE}/webhdfs/v1{DIRECTORY}?op=GETFILESTATUS"))["FileStatus"]
        assert (listed["owner"], listed["permission"]) == ("millrace", "755"), listed


def readme():
    """Commands of the README's section on docker compose, and the lines that each prints."""
    section = (ROOT / "README.md").read_text().split("## Under docker compose")[1].split("\n## ")[0]
    commands = []
    for line in "".join(re.findall(r"```console\n(.*?)```", section, re.S)).splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            commands[-1][1].append(line)
    # `up` is what has happened, and the variable is what Stack says otherwise
    return [(command, lines) for command, lines in commands if not re.match("export|docker compose up", command)]


def prints(command, files, lines):
    """`…` stands for whatever changes."""
    environment = {"COMPOSE_FILE": ":".join(files), "COMPOSE_PROJECT_NAME": PROJECT}
    printed = run("bash", "-c", command.replace("localhost:5001", PAGE.removeprefix("http://")), **environment)
    left = iter(printed.splitlines())
    for line in filter(None, lines):
        like = re.compile(".*".join(re.escape(part) for part in line.split("…")))
        assert any(like.fullmatch(found.rstrip()) for found in left), f"{line!r} is not in:\n{printed}"
    return True


def as_the_readme_says(files):
    commands = readme()
    assert len(commands) > 5, commands
    for command, lines in commands:
        until(f"README: {command}", lambda: prints(command, files, lines))
        say("  README:", shlex.split(command)[-2:], "prints what it says")


def mistakes(stack, taken):
    """Each is one line that says what is wrong, and nothing is lost."""
    wrong = stack.compose("run", "--rm", "--no-deps", "-e", "KAFKA_BROKERS=nowhere:9092", "topics", check=False)
    said = [line for line in (wrong.stdout + wrong.stderr).splitlines() if line.startswith("error: ")]
    assert wrong.returncode == 1 and len(said) == 1 and "nowhere:9092" in said[0], (wrong.returncode, said)
    read_only = f"{PROJECT}_state:/var/lib/millrace:ro"
    wrong = stack.compose("run", "--rm", "--no-deps", "-v", read_only, "worker", check=False)
    said = [line for line in (wrong.stdout + wrong.stderr).splitlines() if line.startswith("error: ")]
    assert wrong.returncode == 1 and len(said) == 1 and "/var/lib/millrace" in said[0], (wrong.returncode, said)
    say("a broker's name that is wrong, a state volume that cannot be written: a line each")
    stack.compose("up", "-d", "--no-build", MONGODB_URI="mongodb://nowhere:27017")
    until("workers without MongoDB are ready", lambda: all(row == "running healthy" for row in stack.states("worker")))
    flight = post()
    taken.append(flight)
    until("the answer, in the topic", lambda: flight in stack.topic_by_kafka("flight-delay-ml-response"))
    logs = stack.logs("worker")
    assert "sink is down; it is tried again, and the head does not wait for it" in logs and "nowhere:27017" in logs, logs
    stack.up()
    say("a MongoDB whose name is wrong: answers come all the same, and it has them once its name is right")
    nothing_lost(stack, taken)


def killed(stack, taken, archived_since, services):
    for service in services:
        with Posting(taken) as posting:
            stack.crash(service)
        say(f"{service} was killed and is back; {posting.refused} posts were refused in between")
        nothing_lost(stack, taken, archived_since)


def partitions(stack):
    """Of each worker."""
    return [sum(len(worker["partitions"]) for worker in status["workers"].values()) for status in stack.statuses()]


def scaled(stack, taken, archived_since):
    for count in (1, 3, 1):
        with Posting(taken):
            stack.up("--no-recreate", "--scale", f"worker={count}")
            shared = lambda: all(partitions(stack)) and sum(partitions(stack)) == 4 and len(partitions(stack)) == count
            until(f"4 partitions are shared by {count}", shared)
            works = lambda: sum(bool(worker["partitions"]) for worker in stack.cluster()["workers"]) == count
            until(f"the cluster page shows {count}", works)
        say(f"workers: {count}, with {partitions(stack)} partitions")
        nothing_lost(stack, taken, archived_since)


def confined(stack):
    """No root, no writable system, no shell."""
    for service in ("worker", "web"):
        container = stack.containers(service)[0]
        read_only = run("docker", "inspect", "-f", "{{.HostConfig.ReadonlyRootfs}} {{.Config.User}}", container).strip()
        assert read_only == "true 65532:65532", read_only
        shell = stack.compose("exec", "-T", service, "sh", "-c", "true", check=False)
        assert shell.returncode != 0, f"{service} has a shell"


def scenario(files, taken):
    stack, with_hdfs = Stack(files), files == WITH_HDFS
    say("up:", " ".join(files))
    begun = time.monotonic()
    stack.up()
    say(f"healthy after {time.monotonic() - begun:.0f} s")
    confined(stack)
    archived_since = len(taken) if with_hdfs else None
    each_hop(stack, taken, with_hdfs)
    nothing_lost(stack, taken, archived_since)
    if with_hdfs:
        as_the_readme_says(files)
    else:
        mistakes(stack, taken)
    killed(stack, taken, archived_since, ["kafka", "mongo", "worker", "web"] + ["namenode", "datanode"] * with_hdfs)
    scaled(stack, taken, archived_since)
    say("down, and up again")
    stack.down()
    stack.up()
    nothing_lost(stack, taken, archived_since)
    each_hop(stack, taken, with_hdfs)
    nothing_lost(stack, taken, archived_since)


def main():
    stack, taken = Stack(WITH_HDFS), []
    stack.down("-v", "--remove-orphans")
    if "--no-build" not in sys.argv:
        say("building the images")
        stack.compose("build")
    try:
        for files in (BASE, WITH_HDFS):
            scenario(files, taken)
            Stack(files).down()
    except BaseException:
        say("the last words of each container:\n" + stack.compose("logs", "--tail", "30", check=False).stdout)
        raise
    finally:
        stack.down("-v", "--remove-orphans")
    say("the scenario holds under Docker")


if __name__ == "__main__":
    main()
