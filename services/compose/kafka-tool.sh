#!/bin/bash
# As /opt/kafka/bin/kafka-NAME.sh, for those that README.md and the test name; its heap is the one that the environment
# says, the broker's own inside its container.
case ${0##*/} in
kafka-topics.sh) class=org.apache.kafka.tools.TopicCommand ;;
kafka-console-consumer.sh) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
kafka-consumer-groups.sh) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
esac
exec java ${KAFKA_HEAP_OPTS:--Xmx512M} -XX:TieredStopAtLevel=1 -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*' $class "$@"
