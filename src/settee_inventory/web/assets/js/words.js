// Numbers and times as people read them.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export function clock(ms, seconds = false) {
  const options = { hour: "2-digit", minute: "2-digit", hour12: false };
  if (seconds) options.second = "2-digit";
  return new Date(ms).toLocaleTimeString("en-GB", options);
}

export function day(ms, now) {
  const date = new Date(ms);
  if (date.toDateString() === new Date(now).toDateString()) return "Today";
  if (date.toDateString() === new Date(now - 24 * HOUR).toDateString()) return "Yesterday";
  return date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long" });
}

/** "now", "5 s ago", "3 min ago", and from an hour on the time. */
export function ago(ms, now) {
  const past = Math.max(0, now - ms);
  if (past < 1500) return "now";
  if (past < MINUTE) return `${Math.round(past / 1000)} s ago`;
  if (past < HOUR) return `${Math.floor(past / MINUTE)} min ago`;
  if (past < 20 * HOUR) return `at ${clock(ms)}`;
  return new Date(ms).toLocaleDateString("en-GB", { day: "numeric", month: "short" });
}

/** "1 h 12 min" */
export function span(ms) {
  const minutes = Math.floor(ms / MINUTE);
  if (minutes < 1) return "under a minute";
  const hours = Math.floor(minutes / 60);
  return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}

export const whole = (ms) => new Date(ms).toLocaleString("en-GB");

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1_000_000) return `${Math.round(count / 1000)} kB`;
  return `${(count / 1_000_000).toFixed(1)} MB`;
}

export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** At most `most` characters, by whole characters: an emoji is not cut in two. */
export function clipped(text, most = 60) {
  const characters = [...String(text ?? "")];
  return characters.length > most ? `${characters.slice(0, most - 1).join("")}…` : characters.join("");
}

export function names(list) {
  if (list.length < 2) return list.join("");
  return `${list.slice(0, -1).join(", ")} and ${list.at(-1)}`;
}
