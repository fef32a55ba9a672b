#!/bin/bash
# A MongoDB-compatible server behind mongod's options: it is a replica set of one from its start.
set -euo pipefail
mkdir -p /data/db
exec secantusd-rs --host mongo --port 27017 --storage-path /data/db --sync-on-commit --cache-size 256M --log-level ERROR
