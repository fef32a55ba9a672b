// How figures, times and states are said, wherever they are shown.

export const KINDS = document.body.dataset.ground === "folder"
  ? { kafka: "topic", mongodb: "documents", hdfs: "directory" }
  : { kafka: "Kafka", mongodb: "MongoDB", hdfs: "HDFS" };

export const count = (n, what) => `${n.toLocaleString("en")} ${what}${n === 1 ? "" : "s"}`;

/// Our own messages mark names as a terminal likes it.
export const plain = (text) => text.replaceAll("`", "");

export function duration(seconds) {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}

/// What a sink in step is behind, it has taken: it is not to be seen yet. Null where that is not so.
export function openFile({ state, behind, publishes_within_seconds: within }) {
  const isOpen = state === "in_step" && behind > 0 && Number.isInteger(within);
  return isOpen ? `in an open file for at most ${duration(within)}` : null;
}

export function sinkSays(sink) {
  const { state, behind, why, seconds_left: left } = sink;
  const number = behind === null ? "unknown how far behind" : `${behind.toLocaleString("en")} behind`;
  switch (state) {
    case "down": return `away, ${number}${why ? `: ${plain(why)}` : ""}`;
    case "stopped": return `stopped, ${number}${why ? `: ${plain(why)}` : ""}`;
    case "opening": return "opening";
    case "catching_up": return `catching up, ${number}${left === null ? "" : `, about ${duration(left)} left`}`;
    default: {
      const open = openFile(sink);
      if (behind === 0) return "in step";
      return open ? `in step, ${behind.toLocaleString("en")} ${open}` : number;
    }
  }
}
