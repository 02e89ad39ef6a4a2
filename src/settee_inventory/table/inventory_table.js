// The table: three devices side by side, the lines between them, and what happened last.
const STEPS = {
  1: "Press + on any phone. Or switch Van’s network off, change Apples on Van and on Shop, and switch it on again.",
  2: "Change Apples on both sides of the cut.",
  3: "Switch the network on again.",
};
const LINE = {
  up: { icon: "link", text: "Connected" },
  moving: { icon: "sync", text: "Syncing" },
  cut: { icon: "wifi_off", text: "Cut" },
  trying: { icon: "schedule", text: "Connecting" },
};
const CALM = "(prefers-reduced-motion: reduce)";
const NARROW = "(max-width: 899px)";

export default {
  props: { state: Object },
  emits: ["act"],
  data() {
    return { s: this.state, now: Date.now(), chosen: 0, narrow: matchMedia(NARROW).matches, LINE };
  },
  created() {
    Quasar.Dark.set("auto");
    this.timer = setInterval(() => (this.now = Date.now()), 1000);
    matchMedia(NARROW).addEventListener("change", (event) => (this.narrow = event.matches));
  },
  computed: {
    step() {
      if (this.s.step === 4) return { title: "Merged.", text: this.s.result, done: true };
      const title = this.s.step === 1 ? "Try it." : `Step ${this.s.step} of 3.`;
      return { title, text: STEPS[this.s.step], done: false };
    },
    alone() {
      return this.s.devices.find((each) => !each.online);
    },
    headline() {
      const { alone } = this;
      if (alone) {
        const changes = alone.waits === 1 ? "1 change waits" : `${alone.waits} changes wait`;
        return alone.waits ? `${alone.name} is alone, ${changes}` : `${alone.name} is alone`;
      }
      const { journey } = this.s;
      if (!journey) return "No journey yet";
      return `${journey.ms} ms from ${journey.origin} to ${journey.places.join(" and ")}`;
    },
    below() {
      const { journey } = this.s;
      if (!journey) return "Change a number on any phone";
      const seconds = Math.round((this.now - journey.at) / 1000);
      const when = seconds < 2 ? "just now" : seconds < 60 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
      return `${journey.what}, ${when}`;
    },
    summary() {
      const states = this.s.lines.map((each) => each.state);
      if (states.every((each) => each === "up" || each === "moving")) {
        return states.includes("moving") ? { ...LINE.moving, state: "moving" } : { icon: "link", text: "All three connected", state: "up" };
      }
      const state = this.line(0, 2);
      return { ...LINE[state], state };
    },
  },
  methods: {
    show(state) {
      this.s = state;
    },
    act(name, fields) {
      this.$emit("act", { name, ...fields });
    },
    line(a, b) {
      const [one, other] = [this.s.devices[a].name, this.s.devices[b].name];
      return this.s.lines.find((each) => each.one === one && each.other === other).state;
    },
    chip(device) {
      if (device.failure) return { tone: "bad", icon: "block", text: "Ended" };
      if (!device.online) return { tone: "off", icon: "wifi_off", text: "No network" };
      if (!device.count) return { tone: "wait", icon: "schedule", text: "Connecting" };
      return { tone: "ok", icon: "check", text: this.narrow ? "In sync" : `In sync with ${device.count}` };
    },
    /** Bring one phone into sight; on a wide page all are. */
    choose(n) {
      const { phones } = this.$refs;
      phones.scrollTo({ left: n * phones.clientWidth, behavior: matchMedia(CALM).matches ? "auto" : "smooth" });
    },
    swiped({ target }) {
      if (this.narrow && target.clientWidth) this.chosen = Math.round(target.scrollLeft / target.clientWidth);
    },
  },
  template: `<div class="table">
    <div class="table-head"><div class="grow"><h1>The table</h1><p class="second">Three devices, three databases, no server</p></div>
      <div class="journey" aria-live="polite"><div class="strong" data-journey>{{ headline }}</div><div class="second">{{ below }}</div></div>
      <button type="button" class="btn line" :disabled="s.starting" @click="act('start over')"><span class="mi" aria-hidden="true">restart_alt</span>Start over</button></div>
    <p class="try" :class="{ 's-busy': s.step > 1 && !step.done, 's-ok': step.done }" role="status"><span class="mi" aria-hidden="true">{{ step.done ? "check_circle" : "touch_app" }}</span>
      <span><b>{{ step.title }}</b> {{ step.text }}</span><span class="steps3" aria-hidden="true"><i v-for="n in 3" :key="n" :class="{ done: s.step > n }"></i></span></p>
    <div class="over" :class="'l-' + line(0, 2)"><span class="chip" :class="'s-' + ({ up: 'ok', moving: 'busy', cut: 'off', trying: 'wait' })[summary.state]"><span class="mi" aria-hidden="true">{{ summary.icon }}</span>{{ summary.text }}</span></div>
    <div class="heads"><template v-for="(device, n) in s.devices" :key="device.name">
      <span v-if="n" class="between" :class="'l-' + line(n - 1, n)" role="img" :aria-label="s.devices[n - 1].name + ' and ' + device.name + ': ' + LINE[line(n - 1, n)].text"></span>
      <section class="card head" :aria-label="device.name" :data-device="device.name"><button v-if="narrow" type="button" class="dev big" :class="['c-' + device.colour, { picked: n === chosen }]" :aria-label="'Show ' + device.name" :aria-pressed="n === chosen" @click="choose(n)"><span class="mi" aria-hidden="true">{{ device.icon }}</span></button>
        <span v-else class="dev big" :class="'c-' + device.colour"><span class="mi" aria-hidden="true">{{ device.icon }}</span></span>
        <div class="grow"><h3>{{ device.name }}</h3><span class="chip" :class="'s-' + chip(device).tone"><span class="mi" aria-hidden="true">{{ chip(device).icon }}</span>{{ chip(device).text }}</span></div>
        <label class="net"><input type="checkbox" role="switch" class="switch" :checked="device.online" :disabled="!!device.failure || s.starting" :aria-label="'Network of ' + device.name" @change="act('network', { device: device.name, on: $event.target.checked })" /><span class="least">Network</span></label></section></template></div>
    <div ref="phones" class="phones" @scroll.passive="swiped"><div v-for="device in s.devices" :key="device.name" class="phone">
      <div v-if="device.failure" class="gone"><h2>{{ device.name }} has ended</h2><p class="second">{{ device.failure }}</p><button type="button" class="btn main" @click="act('restart', { device: device.name })">Restart</button></div>
      <iframe v-else-if="device.address && !s.starting" :key="device.address" :src="device.address" :title="device.name"></iframe>
      <div v-else class="gone"><p class="second">Starting …</p></div></div></div></div>`,
};
