#!/bin/bash
# What the official image does, as far as docker-compose.hdfs.yml asks for it: FILE.XML_name=value goes into file.xml,
# and the NameNode is formatted where ENSURE_NAMENODE_DIR is not there.
set -euo pipefail
conf=/opt/hadoop/etc/hadoop
for file in core-site hdfs-site; do
    {
        echo '<configuration>'
        env | sed -n "s|^${file^^}\.XML_\([^=]*\)=\(.*\)|<property><name>\1</name><value>\2</value></property>|p"
        echo '</configuration>'
    } >"$conf/$file.xml"
done
if [ -n "${ENSURE_NAMENODE_DIR:-}" ] && [ ! -d "$ENSURE_NAMENODE_DIR" ]; then hdfs namenode -format -force -nonInteractive; fi
# unquoted, as it is there: a word with spaces becomes several
exec $@
