// What every part of the page shows, and the one way to ask the device to do something.
import { reactive } from "vue";

const RECENT_MS = 10_000;
const ANNOUNCE_MS = 2_000;

export const store = reactive({
  state: {},
  path: location.pathname,
  now: Date.now(),
  fresh: {}, // item id -> {text, colour, at, flip}: what another device has just changed
  flight: {}, // item id -> counts that were sent and are not in `items` yet
  toast: null,
  spoken: "",
});

let emit = () => {};
let lastNumber = 0;
const waiting = new Map();

export function connect(state, send) {
  store.state = state;
  emit = send;
}

/** Ask the device; resolves with its answer, rejects with a sentence for the person. */
export function act(name, args = {}) {
  const number = ++lastNumber;
  return new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject });
    emit({ number, name, args });
  });
}

/** The same, with a refusal shown below instead of thrown. */
export async function attempt(name, args) {
  try {
    return await act(name, args);
  } catch (sentence) {
    say(String(sentence));
    return undefined;
  }
}

export function answer(number, ok, value) {
  const asked = waiting.get(number);
  waiting.delete(number);
  if (asked) ok ? asked.resolve(value) : asked.reject(value);
}

/** Take in what has changed: whole parts of the state, but items one by one; or a `whole` state. */
export function patch({ items, news, whole, ...parts }) {
  if (whole) {
    // Somebody has come or gone: nothing of the former stays.
    store.state = { items: {} };
    store.fresh = {};
  }
  for (const [id, item] of Object.entries(items || {})) {
    if (item === null) delete store.state.items[id];
    else store.state.items[id] = item;
  }
  Object.assign(store.state, parts);
  for (const each of news || []) land(each);
}

let announcedAt = 0;

function land({ id, text, colour, spoken }) {
  const former = store.fresh[id];
  store.fresh[id] = { text, colour, at: Date.now(), flip: !(former && former.flip) };
  store.now = Date.now();
  if (Date.now() - announcedAt >= ANNOUNCE_MS) {
    announcedAt = Date.now();
    store.spoken = spoken;
  }
}

setInterval(() => {
  store.now = Date.now();
  for (const [id, each] of Object.entries(store.fresh)) {
    if (store.now - each.at > RECENT_MS) delete store.fresh[id];
  }
}, 1000);

let toastTimer = 0;

/** Show a line for six seconds; `action` is {label, run}. */
export function say(text, action = null) {
  clearTimeout(toastTimer);
  store.toast = { text, action };
  store.spoken = text;
  toastTimer = setTimeout(() => (store.toast = null), 6000);
}

export function hush() {
  store.toast = null;
}

export function go(path) {
  if (path !== location.pathname) history.pushState({ inside: true }, "", path);
  const stays = store.path.startsWith("/item/") || path.startsWith("/item/");
  store.path = path;
  if (!stays) scrollTo(0, 0);
}

addEventListener("popstate", () => (store.path = location.pathname));

/** Light, dark, or as the system has it: a matter of this browser alone. */
export function appearance(wanted) {
  if (wanted) localStorage.setItem("appearance", wanted);
  const chosen = localStorage.getItem("appearance") || "auto";
  Quasar.Dark.set({ light: false, dark: true }[chosen] ?? "auto");
  return chosen;
}
