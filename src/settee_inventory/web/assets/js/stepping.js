// Counting up and down: at once, again while held, and sent in few messages.
import { act, say, store } from "./store.js";

const SEND_MS = 60;
const HOLD_MS = 400;
const REPEAT_MS = 140;
const FAST_MS = 45;

const unsent = new Map();

/** Count `item` by `by`: shown now, stored as soon as the device has it. */
export function step(item, by) {
  const shown = item.quantity + (store.flight[item.id] || 0);
  if (store.state.me.role === "look" || shown + by < 0) return;
  store.flight[item.id] = (store.flight[item.id] || 0) + by;
  store.spoken = `${item.name} ${shown + by}`;
  if (!unsent.has(item.id)) setTimeout(() => send(item.id), unsent.size ? SEND_MS : 0);
  unsent.set(item.id, (unsent.get(item.id) || 0) + by);
}

async function send(id) {
  const by = unsent.get(id);
  unsent.delete(id);
  try {
    if (by) await act("count", { id, by });
  } catch (sentence) {
    say(String(sentence));
  }
  store.flight[id] -= by;
  if (!store.flight[id]) delete store.flight[id];
}

/** A button that goes on while it is held. */
export const HoldButton = {
  props: { label: String, off: Boolean },
  emits: ["step"],
  methods: {
    down(event) {
      if (event.button) return;
      this.held = false;
      const began = performance.now();
      const again = () => {
        if (this.off) return;
        this.held = true;
        this.$emit("step");
        this.timer = setTimeout(again, performance.now() - began > HOLD_MS + 1000 ? FAST_MS : REPEAT_MS);
      };
      clearTimeout(this.timer);
      this.timer = setTimeout(again, HOLD_MS);
    },
    up() {
      clearTimeout(this.timer);
    },
    click() {
      if (!this.held) this.$emit("step");
      this.held = false;
    },
  },
  beforeUnmount() {
    this.up();
  },
  template: `<button type="button" :aria-label="label" :disabled="off" @pointerdown="down" @pointerup="up" @pointerleave="up" @pointercancel="up"
    @contextmenu.prevent @click="click"><slot /></button>`,
};
