#!/bin/bash
# What the official image does, as far as docker-compose.yml asks for it: KAFKA_A_B=value is a.b=value of the broker.
set -euo pipefail
settings=/tmp/server.properties
while IFS='=' read -r name value; do
    case $name in
    KAFKA_HEAP_OPTS | KAFKA_OPTS) ;;
    KAFKA_*) name=${name#KAFKA_} && name=${name,,} && echo "${name//_/.}=$value" ;;
    esac
done < <(env) >"$settings"
jars='/opt/kafka/libs/*'
data=${KAFKA_LOG_DIRS:-/var/lib/kafka/data}
[ -e "$data/meta.properties" ] || java -Xmx64m -cp "$jars" kafka.tools.StorageTool format -t "$CLUSTER_ID" -c "$settings"
exec java ${KAFKA_HEAP_OPTS:-} -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$jars" kafka.Kafka "$settings"
