#!/bin/bash
# As the command `hdfs`, for namenode, datanode, dfsadmin and dfs.
set -euo pipefail
case ${1:-} in
namenode) class=org.apache.hadoop.hdfs.server.namenode.NameNode ;;
datanode) class=org.apache.hadoop.hdfs.server.datanode.DataNode ;;
dfsadmin) class=org.apache.hadoop.hdfs.tools.DFSAdmin ;;
dfs) class=org.apache.hadoop.fs.FsShell ;;
*) echo "no command ${1:-}" >&2 && exit 1 ;;
esac
shift
exec java -Xmx"${HADOOP_HEAPSIZE_MAX:-512m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "/opt/hadoop/etc/hadoop:/opt/hadoop/lib/*" $class "$@"
