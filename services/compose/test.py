#!/usr/bin/env python3
"""The whole scenario under a Docker engine, seen from outside: ./dev compose-test.

First README.md's own commands, on nothing. Then docker-compose.yml alone, then docker-compose.hdfs.yml laid over what that
left, and last an HDFS that is there already. Flights are posted as the page does; each hop is looked at; each container is
killed while flights are posted; workers go from one to three and back; everything is taken down and up again. Nothing may
be lost, and nothing be there twice. What users can get wrong is said in one line.
"""
import json
import os
import re
import subprocess
import sys
import time

from mistakes import mistakes, secrets
from readme import followed
from stack import (BASE, DIRECTORY, NAMENODE, PAGE, PROJECT, ROOT, ROUTES, WITH_HDFS, Posting, Stack, answer, get,
                   nothing_lost, post, run, say, until)

# megabytes at most
IMAGES = {"millrace": 125, "millrace-web": 50}
EXTERNAL = ["docker-compose.yml", "docker-compose.hdfs-external.yml"]
NETWORK = "hadoop-spark-net"


def each_hop(stack, taken, with_hdfs):
    say("each hop of one flight")
    assert "flight" in get(f"{ROUTES}_kafka").lower(), "the page"
    assert "/assets/cluster.js" in get(f"{PAGE}/cluster"), "the cluster page"
    flight = post()
    taken.append(flight)
    event = get(f"{ROUTES}/kafka_event_stream/{flight}")
    assert flight in event and '"Prediction":' in event, event
    until("the document, by the page", lambda: answer(flight))
    for topic in ("flight-delay-ml-request", "flight-delay-ml-response"):
        until(f"the flight in {topic}", lambda: flight in stack.topic_by_kafka(topic))
    document = stack.mongo(f"db.flight_delay_ml_response.findOne({{ UUID: '{flight}' }})")
    assert document["Prediction"] is not None, document
    if with_hdfs:
        until("the row in HDFS", lambda: flight in [row["UUID"] for row in stack.hdfs()])
        assert "Hadoop" in get(f"{NAMENODE}/index.html") or "dfshealth" in get(f"{NAMENODE}/index.html"), "the NameNode's page"
        listed = json.loads(get(f"{NAMENODE}/webhdfs/v1{DIRECTORY}?op=GETFILESTATUS"))["FileStatus"]
        assert (listed["owner"], listed["permission"]) == ("millrace", "755"), listed


def refused(stack):
    """A message that is no flight is among the rejects with its reason, and on the cluster page."""
    before = stack.cluster()["rejects_total"]
    flight = f"refused-{time.time():.0f}"
    message = {"UUID": flight, "Carrier": "UA", "Origin": "EWR", "Dest": "nowhere", "FlightDate": "2013-05-06"}
    words = ["exec", "-T", "worker", "millrace", "produce", "flight-delay-ml-request"]
    stack.compose(*words, said=json.dumps(message) + "\n")
    until("the message among the rejects", lambda: flight in stack.topic_by_kafka("flight-delay-ml-rejected"))
    until("the cluster page counts it", lambda: stack.cluster()["rejects_total"] == before + 1)
    say("one that is refused is among the rejects; the cluster page has", stack.cluster()["rejects"])


def topics(stack):
    for name in ("flight-delay-ml-request", "flight-delay-ml-response", "flight-delay-ml-rejected"):
        said = stack.kafka("kafka-topics", "--describe", "--topic", name)
        assert re.search(r"PartitionCount: ?4\b", said) and "retention.ms=604800000" in said, said
    say("topics: 4 partitions, a week of retention")


def killed(stack, taken, services):
    for service, index in services:
        with Posting(taken) as posting:
            stack.crash(service, index)
        say(f"{service} {index + 1} was killed and is back; {posting.refused} posts were refused in between, and the longest "
            f"that the page waited for an answer was {posting.longest:.1f} s")
        nothing_lost(stack, taken)


def scaled(stack, taken):
    for count in (1, 3, 1):
        with Posting(taken) as posting:
            stack.up("--no-recreate", "--scale", f"worker={count}")
            stack.shared(count)
        say(f"  the longest that the page waited for an answer was {posting.longest:.1f} s")
        nothing_lost(stack, taken)


def confined(stack):
    """What docker-compose.yml says of limits and rights is what the engine holds each container to."""
    once, services = stack.once(), stack.config()["services"]
    for name, service in services.items():
        for container in stack.inspect(name):
            host = container["HostConfig"]
            assert host["Memory"] == int(service["mem_limit"]) > 0, (name, host["Memory"])
            logs = {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
            assert host["LogConfig"] == logs, (name, host["LogConfig"])
            restarts = "no" if name in once else "unless-stopped"
            assert host["RestartPolicy"]["Name"] == restarts, (name, host["RestartPolicy"])
            assert host["SecurityOpt"] == ["no-new-privileges:true"] and not host["Privileged"], name
            if name in ("topics", "worker", "web"):
                confined = (host["CapDrop"], host["ReadonlyRootfs"], container["Config"]["User"])
                assert confined == (["ALL"], True, "65532:65532"), (name, confined)
    for name in ("worker", "web"):
        shell = stack.compose("exec", "-T", name, "sh", "-c", "true", check=False)
        assert shell.returncode != 0, f"{name} has a shell"
    say("limits of memory and logs, restarts and rights are as the files say:", ", ".join(services))


def images():
    version = re.search(r'(?m)^version = "(.*)"', (ROOT / "Cargo.toml").read_text())[1]
    for name, megabytes_max in IMAGES.items():
        full = f"{name}:{os.environ.get('MILLRACE_TAG', 'latest')}"
        image = json.loads(run("docker", "image", "inspect", full))[0]
        labels = {word.rsplit(".", 1)[1]: value for word, value in image["Config"]["Labels"].items() if "opencontainers" in word}
        assert (labels["title"], labels["version"], labels["licenses"]) == (name, version, "Apache-2.0"), labels
        assert labels["revision"] == os.environ.get("REVISION", labels["revision"]), labels
        told = json.dumps(image["Config"]["Env"]) + run("docker", "history", "--no-trunc", full)
        assert not re.search(r"mongodb://|://[^ /]*:[^ /]*@|password|secret", told, re.I), told
        megabytes = image["Size"] / 1e6
        assert megabytes < megabytes_max, f"{full} has {megabytes:.0f} MB"
        say(f"image {full}: {megabytes:.0f} MB, revision {labels['revision']}")


def compiled_once(stack):
    """Each worker has been started again by now."""
    assert "compiled plugins are not kept" not in stack.logs("worker")
    kept = subprocess.run(["docker", "cp", f"{stack.containers('worker')[0]}:/var/lib/millrace/.cache/millrace/compiled", "-"],
                          capture_output=True, check=True).stdout
    assert len(kept) > 10_000, "nothing compiled is kept"
    say(f"compiled plugins are kept: {len(kept) >> 10} KiB")


def scenario(files, taken):
    stack, with_hdfs = Stack(files), files == WITH_HDFS
    say("up:", " ".join(files))
    begun = time.monotonic()
    stack.up()
    healthy = time.monotonic()
    taken.append(post())
    until("the first answer", lambda: answer(taken[-1]))
    say(f"healthy after {healthy - begun:.0f} s, the first answer after {time.monotonic() - begun:.1f} s")
    stack.shared(2)
    confined(stack)
    archived_since = len(taken) if with_hdfs else None
    each_hop(stack, taken, with_hdfs)
    nothing_lost(stack, taken, archived_since)
    if not with_hdfs:
        topics(stack)
        refused(stack)
        mistakes(stack, taken)
        secrets(taken)
    kills = [("kafka", 0), ("mongo", 0), ("worker", 0), ("worker", 1), ("web", 0)]
    killed(stack, taken, kills + [("namenode", 0), ("datanode", 0)] * with_hdfs)
    compiled_once(stack)
    scaled(stack, taken)
    # files appear a minute late: they are looked at once
    nothing_lost(stack, taken, archived_since)
    say("down, and up again")
    stack.down()
    stack.up()
    nothing_lost(stack, taken, archived_since)
    each_hop(stack, taken, with_hdfs)
    nothing_lost(stack, taken, archived_since)


def another_hdfs():
    """Of nobody's compose file, in a network that was made by hand."""
    say("up:", " ".join(EXTERNAL))
    services = Stack(WITH_HDFS).config()["services"]
    names = [f"{PROJECT}-{name}" for name in ("namenode", "datanode")]
    made = run("docker", "network", "create", NETWORK, check=False).returncode == 0
    stack = Stack(EXTERNAL)
    try:
        for name, full in zip(("namenode", "datanode"), names):
            settings = [f"{key}={value}" for key, value in services[name]["environment"].items()]
            words = [word for setting in settings for word in ("-e", setting)]
            run("docker", "run", "-d", "--name", full, "--hostname", name, "--network", NETWORK, "--network-alias", name,
                "--user", "root", *words, services[name]["image"], "hdfs", name)
        hdfs = lambda *words: run("docker", "exec", names[0], "hdfs", *words)
        until("an HDFS with a DataNode", lambda: "Live datanodes (1)" in hdfs("dfsadmin", "-report"))
        hdfs("dfs", "-mkdir", "-p", DIRECTORY)
        hdfs("dfs", "-chown", "millrace", DIRECTORY)
        stack.up()
        flight = post()
        until("the row in that HDFS", lambda: flight in hdfs("dfs", "-cat", f"{DIRECTORY}/*.jsonl"))
        say("an HDFS that is there already has the row")
    finally:
        stack.down("-v", "--remove-orphans")
        run("docker", "rm", "-f", "-v", *names, check=False)
        if made:
            run("docker", "network", "rm", NETWORK, check=False)


def main():
    build, taken = "--no-build" not in sys.argv, []
    stack = Stack(WITH_HDFS)
    stack.down("-v", "--remove-orphans")
    begun = time.monotonic()
    try:
        followed(build)
        images()
        for files in (BASE, WITH_HDFS):
            scenario(files, taken)
            Stack(files).down()
        stack.down("-v", "--remove-orphans")
        another_hdfs()
    except BaseException:
        say("the last words of each container:\n" + stack.compose("logs", "--tail", "30", check=False).stdout)
        raise
    finally:
        stack.down("-v", "--remove-orphans")
    say(f"the scenario holds under Docker, {(time.monotonic() - begun) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
