"""What tests of the SDK run: columns and answers are what the config says, in Python."""

import datetime  # noqa: F401: what the config says may take it; nothing can be imported later
import os  # noqa: F401
import random  # noqa: F401
import socket  # noqa: F401
import time  # noqa: F401

import millrace


class TestGuest(millrace.Plugin):
    name = "test-guest-py"
    # whatever the test says
    config_schema = "{}"

    def __init__(self, config):
        said = {what: eval(text, vars(millrace)) for what, text in config.items()}
        if "wrong" in said:
            raise said["wrong"]
        self.reads, self.adds = said.get("reads", [millrace.int64("n")]), said["adds"]
        self.drops = said.get("drops", [])
        # of these there is one
        if "columns" in said:
            self.columns = said["columns"]
        else:
            self.row = said["row"]


Transform = millrace.export(TestGuest)
