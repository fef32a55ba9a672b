"""What the test of the compose files does with a Docker engine, and how it looks at each hop from outside."""
import json
import os
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


def run(*command, check=True, said=None, **environment):
    environment = {**os.environ, **PORTS, **environment}
    done = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, input=said or "")
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

    def compose(self, *words, check=True, said=None, **environment):
        files = [word for file in self.files for word in ("-f", file)]
        return run("docker", "compose", "-p", PROJECT, *files, *words, check=check, said=said, **environment)

    def up(self, *words, **environment):
        self.compose("up", "--no-build", "--wait", "--wait-timeout", str(PATIENCE_SECONDS), *words, **environment)
        self.healthy()

    def down(self, *words):
        self.compose("down", *words)

    def config(self):
        return json.loads(self.compose("config", "--format", "json"))

    def once(self):
        """Services that end when they are done: others wait for that."""
        waits = [service.get("depends_on", {}) for service in self.config()["services"].values()]
        done = "service_completed_successfully"
        return {name for wait in waits for name, how in wait.items() if how["condition"] == done}

    def containers(self, service):
        """In the same order as long as they are the same."""
        return sorted(self.compose("ps", "-a", "-q", service).split())

    def healthy(self):
        once, services = self.once(), self.config()["services"]
        for service in services:
            until(f"{service} as it should be", lambda: self.is_well(service, service in once))

    def is_well(self, service, ends):
        states = self.states(service)
        assert states, f"no container of {service}"
        assert all(state == ("exited 0" if ends else "running healthy") for state in states), f"{service}: {states}"
        return True

    def states(self, service):
        form = "{{.State.Status}} {{if eq .State.Status `exited`}}{{.State.ExitCode}}{{else}}{{.State.Health.Status}}{{end}}"
        ids = self.containers(service)
        return run("docker", "inspect", "-f", form, *ids).splitlines() if ids else []

    def inspect(self, service):
        return json.loads(run("docker", "inspect", *self.containers(service)))

    def crash(self, service, index=0):
        """As a process that dies: the restart policy brings it back."""
        container = self.containers(service)[index]
        started = run("docker", "inspect", "-f", "{{.State.StartedAt}}", container)
        pid = int(run("docker", "inspect", "-f", "{{.State.Pid}}", container))
        os.kill(pid, signal.SIGKILL)
        again = lambda: run("docker", "inspect", "-f", "{{.State.StartedAt}}", container) != started
        until(f"{service} started again by itself", again)
        self.healthy()

    def logs(self, service):
        done = self.compose("logs", "--no-log-prefix", service, check=False)
        return done.stdout + done.stderr

    # the hops

    def topic(self, name):
        lines = self.compose("exec", "-T", "worker", "millrace", "consume", name).splitlines()
        return [json.loads(line) for line in lines]

    def kafka(self, tool, *words):
        # beside the broker, in its memory limit: not with the heap that the broker is given
        small = ["-T", "-e", "KAFKA_HEAP_OPTS=-Xmx128m", "kafka", f"/opt/kafka/bin/{tool}.sh"]
        return self.compose("exec", *small, "--bootstrap-server", "kafka:9092", *words)

    def topic_by_kafka(self, name):
        words = ["--topic", name, "--from-beginning", "--timeout-ms", "6000", "--isolation-level", "read_committed"]
        return self.kafka("kafka-console-consumer", *words)

    def mongo(self, script):
        script = f"EJSON.stringify({script})"
        return json.loads(self.compose("exec", "-T", "mongo", "mongosh", "--quiet", "agile_data_science", "--eval", script))

    def documents(self):
        """Their flights, each once."""
        flights = self.mongo("db.flight_delay_ml_response.distinct('UUID')")
        script = "db.flight_delay_ml_response.countDocuments({})"
        count = int(self.compose("exec", "-T", "mongo", "mongosh", "--quiet", "agile_data_science", "--eval", script))
        assert count == len(flights), f"{count} documents of {len(flights)} flights"
        return set(flights)

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

    def partitions(self):
        """Of each worker."""
        return [sum(len(worker["partitions"]) for worker in status["workers"].values()) for status in self.statuses()]

    def shared(self, count):
        """By `count` workers, each with some of the request topic."""
        share = lambda: all(self.partitions()) and sum(self.partitions()) == 4 and len(self.partitions()) == count
        until(f"4 partitions are shared by {count}", share)
        works = lambda: sum(bool(worker["partitions"]) for worker in self.cluster()["workers"]) == count
        until(f"the cluster page shows {count}", works)
        say(f"workers: {count}, with {self.partitions()} partitions")


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
    """Flights, one after another, as long as the block lasts; what was taken is in `taken`. Each is followed until the
    page has its answer, and the longest that one waited is known then."""

    def __init__(self, taken):
        self.taken, self.ends, self.refused, self.longest, self.open = taken, threading.Event(), 0, 0.0, {}
        self.threads = [threading.Thread(target=self.go), threading.Thread(target=self.follow)]

    def go(self):
        while not self.ends.wait(0.1):
            try:
                flight = post()
                self.open[flight] = time.monotonic()
                self.taken.append(flight)
            except (OSError, AssertionError, ValueError):
                self.refused += 1

    def follow(self):
        while not self.ends.is_set() or (self.open and time.monotonic() < self.given_up):
            for flight, posted in list(self.open.items()):
                try:
                    if answer(flight):
                        self.longest = max(self.longest, time.monotonic() - posted)
                        del self.open[flight]
                except (OSError, AssertionError, ValueError, KeyError):
                    pass
            time.sleep(0.05)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.given_up = time.monotonic() + PATIENCE_SECONDS
        self.ends.set()
        for thread in self.threads:
            thread.join()


def nothing_lost(stack, taken, archived_since=None):
    """Each flight that the page took is in each place, and no row is in one twice."""
    for flight in taken:
        until(f"the answer to {flight}", lambda: answer(flight))

    def settled():
        rows = [row["UUID"] for row in stack.topic("flight-delay-ml-response")]
        assert len(rows) == len(set(rows)), "rows are in the response topic twice"
        assert set(taken) <= set(rows), f"not in the response topic: {set(taken) - set(rows)}"
        documents = stack.documents()
        assert documents == set(rows), f"in one of topic and documents alone: {documents ^ set(rows)}"
        if archived_since is not None:
            archived = [row["UUID"] for row in stack.hdfs()]
            assert len(archived) == len(set(archived)), "rows are in HDFS twice"
            missing = set(taken[archived_since:]) - set(archived)
            assert not missing and set(archived) <= set(rows), f"not in HDFS: {missing}"
        return len(rows)

    say(f"  {until('every place with the same rows', settled)} rows, each once in each place; {len(taken)} flights were taken")
