"""README.md's section on docker compose, as a reader follows it: each command once, in its order, in one shell.

What stands below a command is all that it prints, `…` being whatever changes; with a line that is only `…` it is an
excerpt, in order. Nothing is tried a second time: what the README does not say to wait for is there at once.
"""
import itertools
import os
import re
import subprocess
import tempfile
import time

from stack import PAGE, PORTS, PROJECT, ROOT, WITH_HDFS, Stack, say

END = "--end of a command--"


def commands():
    section = (ROOT / "README.md").read_text().split("## Under docker compose")[1].split("\n## ")[0]
    found = []
    for line in "".join(re.findall(r"```console\n(.*?)```", section, re.S)).splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def prints(said, lines):
    """What is missing, or one too many; none where it is as it should be."""
    like = lambda line, found: re.fullmatch(".*".join(re.escape(part) for part in line.split("…")), found)
    if "…" in lines:
        left = iter(said)
        return next((line for line in lines if line != "…" and not any(like(line, found) for found in left)), None)
    for line, found in itertools.zip_longest(lines, said):
        if line is None or found is None or not like(line, found):
            return f"{line!r}, but {found!r}"
    return None


class Shell:
    def __enter__(self):
        environment = {**os.environ, **PORTS, "COMPOSE_PROJECT_NAME": PROJECT}
        self.progress = tempfile.TemporaryFile("w+")
        self.bash = subprocess.Popen(["bash"], cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=self.progress)
        return self

    def __exit__(self, *_):
        self.bash.stdin.close()
        self.bash.kill()
        self.bash.wait()

    def run(self, command):
        """What it prints, but for its progress, and how it ends."""
        self.bash.stdin.write(f"{{ {command}\n}} </dev/null; code=$?; echo; echo {END} $code\n")
        self.bash.stdin.flush()
        said = []
        while not (line := self.bash.stdout.readline()).startswith(END):
            assert line, f"the shell has ended: {command}"
            said.append(line.rstrip())
        # the line that the shell above begins anew
        return said[:-1] if said[-1] == "" else said, int(line.split()[-1])

    def errors(self):
        self.progress.seek(0)
        return self.progress.read()[-2000:]


def followed(build):
    say("README.md, word by word, on nothing")
    shown = commands()
    assert len(shown) > 8 and sum(bool(lines) for _, lines in shown) > 6, shown
    with Shell() as shell:
        for command, lines in shown:
            here = command.replace("localhost:5001", PAGE.removeprefix("http://"))
            begun = time.monotonic()
            said, code = shell.run(here if build else here.replace(" --build", ""))
            printed = "\n".join(said)
            assert code == 0, f"README: {command} ended with {code}:\n{printed}\n{shell.errors()}"
            # some engines and versions of compose print the progress of a build where a command's output goes
            missing = None if build and " --build" in here and not lines else prints(said, lines)
            assert missing is None, f"README: {command} does not print {missing}:\n{printed}\n{shell.errors()}"
            say(f"  README: {command[:60]} prints what it says, {time.monotonic() - begun:.1f} s")
    Stack(WITH_HDFS).down("-v", "--remove-orphans")
