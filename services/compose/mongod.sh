#!/bin/bash
# A MongoDB-compatible server behind the options of mongod that docker-compose.yml names: it is a replica set of one from
# its start; the stand-in for mongosh sees to it that somebody begins it all the same.
set -euo pipefail
set=
while [ $# -gt 0 ]; do
    case $1 in
    --replSet) set=${2:?a name} && shift 2 ;;
    --bind_ip_all) shift ;;
    --wiredTigerCacheSizeGB) shift 2 ;;
    *) echo "this stand-in does not know $1" >&2 && exit 2 ;;
    esac
done
[ "$set" = rs0 ] || { echo "this stand-in is of the replica set rs0" >&2 && exit 2; }
mkdir -p /data/db
exec secantusd-rs --host mongo --port 27017 --storage-path /data/db --sync-on-commit --cache-size 256M --log-level ERROR
