// The Browser tab: who is near or known, how it stands with each, and the one thing to do.
import { act, attempt, go, say, store } from "./store.js";
import { ago, clock } from "./words.js";
import { Chip, Dev, MiIcon, TurnSwitch, Txt } from "./parts.js";
import { LoginDialog, TrustDialog } from "./trust.js";

const NOTHING_MS = 5_000;
const LABELS = {
  compare: { title: "Check", icon: "verified_user" },
  connect: { title: "Connect" },
  stop: { title: "Stop trying" },
  retry: { title: "Retry now" },
  login: { title: "Use another login" },
  check: { title: "Change check" },
  original: { title: "Connect as the original app" },
  disconnect: { title: "Disconnect" },
  forget: { title: "Forget" },
};

const Peer = {
  components: { Chip, Dev, MiIcon, Txt },
  props: { peer: Object },
  emits: ["run"],
  data: () => ({ LABELS, store }),
  computed: {
    chip() {
      const { chip, retry_at } = this.peer;
      if (!retry_at) return chip;
      const left = Math.ceil((retry_at - store.now) / 1000);
      return { ...chip, text: left > 0 ? `Retry in ${left} s` : "Trying" };
    },
    fact() {
      const { state, moved_at, seen_at, fact } = this.peer;
      if (state === "in sync" && moved_at) return `Last change ${ago(moved_at, store.now)}`;
      if (["retrying", "away"].includes(state) && seen_at) return `Last seen ${ago(seen_at, store.now)}`;
      if (state === "syncing") {
        const { progress } = this.peer;
        return progress && progress.total ? `${progress.done} of ${progress.total} documents` : "Comparing";
      }
      return fact || (state === "new" ? "Not seen before" : "");
    },
    line() {
      const { off_at, line } = this.peer;
      return off_at ? `You disconnected it at ${clock(off_at)}.` : line;
    },
    share() {
      const { progress } = this.peer;
      return progress && progress.total ? Math.round((100 * progress.done) / progress.total) : null;
    },
  },
  methods: {
    title(name) {
      return this.peer.bad && name === "compare" ? "Compare again" : LABELS[name].title;
    },
    pick(name, event) {
      const menu = event.target.closest("details");
      if (menu) {
        menu.removeAttribute("open");
        // What was clicked is out of sight now; a dialog gives the focus back to this.
        menu.querySelector("summary").focus();
      }
      this.$emit("run", name, this.peer);
    },
  },
  template: `<li class="peer" :data-key="peer.key" :data-state="peer.state">
    <div class="top"><dev :device="peer" /><div class="grow"><div class="strong cut" style="font-size:17px;line-height:22px"><txt :of="peer.name" /></div>
      <div class="second" style="overflow-wrap:anywhere">{{ fact }}</div></div><chip :tone="chip.tone" :icon="chip.icon" :text="chip.text" />
      <details v-if="peer.menu.length" class="menu"><summary class="btn plain square" :aria-label="'More for ' + peer.name"><mi-icon name="more_horiz" /></summary>
        <div><button v-for="name in peer.menu" :key="name" type="button" class="btn" :class="name === 'forget' ? 'danger' : 'plain'" @click="pick(name, $event)">{{ title(name) }}</button></div></details></div>
    <div v-if="peer.state === 'syncing'" class="bar" :class="{ unknown: share === null }" role="progressbar" :aria-label="'Syncing with ' + peer.name" aria-valuemin="0" aria-valuemax="100" :aria-valuenow="share">
      <i :style="share === null ? '' : 'width:' + share + '%'"></i></div>
    <div v-if="peer.bad" class="note s-bad bad" role="status"><div class="side" style="align-items:flex-start"><mi-icon name="link_off" /><span class="grow" style="color:var(--ink)">{{ line }}</span></div>
      <div class="side" style="margin-left:32px;flex-wrap:wrap;gap:4px"><button v-for="name in peer.actions" :key="name" type="button" class="btn plain" @click="pick(name, $event)">{{ title(name) }}</button></div></div>
    <div v-else-if="line || peer.actions.length" class="more"><span class="grow">{{ line }}</span>
      <button v-for="name in peer.actions" :key="name" type="button" class="btn" :class="name === 'compare' ? 'main' : 'tonal'" @click="pick(name, $event)">
        <mi-icon v-if="LABELS[name].icon" :name="LABELS[name].icon" />{{ title(name) }}</button></div></li>`,
};

export const BrowserPage = {
  components: { LoginDialog, MiIcon, Peer, TurnSwitch, TrustDialog },
  data: () => ({ store, address: "", error: "", checking: null, entering: null }),
  computed: {
    state: () => store.state,
    nothing() {
      return store.now - this.state.browser.since > NOTHING_MS;
    },
    check() {
      return { "first use": "Trust on first use", pinned: "Pinned certificate", authority: "Certificate authority", none: "No check" }[this.state.browser.check];
    },
  },
  methods: {
    go,
    attempt,
    async run(name, peer) {
      const key = peer.key;
      if (name === "compare") this.checking = peer;
      else if (name === "login") this.entering = peer;
      else if (name === "check") go("/settings");
      else if (name === "stop") attempt("disconnect", { key });
      else if (name === "forget") {
        await attempt("forget", { key });
        say(`${peer.name} is forgotten`);
      } else attempt(name, { key });
    },
    async refresh() {
      await attempt("refresh");
      store.spoken = "Looking again";
    },
    look() {
      if (this.address.trim() && !/:\d+(\/|#|$)/.test(this.address.trim().replace(/^wss?:\/\//, ""))) {
        this.error = `Add a port, for example ${this.address.trim().replace(/\/.*$/, "")}:4984.`;
      } else this.error = "";
    },
    async meet() {
      try {
        const key = await act("meet", { address: this.address });
        this.error = "";
        this.address = "";
        await this.$nextTick();
        const peer = this.state.peers.find((each) => each.key === key);
        if (peer && peer.state === "new" && peer.actions.includes("compare")) this.checking = peer;
      } catch (sentence) {
        this.error = String(sentence);
      }
    },
  },
  template: `<div class="page">
    <div class="page-head"><div class="grow"><h1>Devices nearby</h1><p class="second">On your network, or remembered</p></div>
      <button type="button" class="btn line" aria-label="Refresh" @click="refresh"><mi-icon name="refresh" /></button></div>
    <div class="columns"><section class="card" aria-label="Devices">
      <ul v-if="state.peers.length"><peer v-for="each in state.peers" :key="each.key" :peer="each" @run="run" /></ul>
      <div v-else-if="!state.browser.online" class="empty"><h2>No network</h2><p class="second">This device has no network. Changes wait.</p></div>
      <div v-else class="empty"><mi-icon name="travel_explore" style="font-size:40px;color:var(--ink2)" /><h2>{{ nothing ? "Nobody here yet" : "Looking …" }}</h2>
        <p class="second">{{ nothing ? "Both on the same Wi-Fi? Some networks block discovery: connect by address." : "Devices that listen appear here." }}</p></div></section>
    <div><section class="card" aria-label="Connect by address"><h2>Connect by address</h2><p class="second">When a device is not found: scan its QR code with the camera app, or type what its Listener page shows.</p>
      <form novalidate style="margin-top:12px" @submit.prevent="meet"><label class="hidden-text" for="address">Address</label>
        <input id="address" class="field" v-model="address" placeholder="192.168.1.7:4984" maxlength="400" autocomplete="off" spellcheck="false" autocapitalize="none" :aria-invalid="error ? 'true' : null" aria-describedby="address-error" @blur="look" />
        <p id="address-error" class="error" aria-live="polite">{{ error }}</p>
        <button type="submit" class="btn tonal wide" style="margin-top:8px" :disabled="!address.trim()"><mi-icon name="link" />Connect</button></form></section>
    <section class="card" aria-label="How to connect"><turn-switch :on="state.browser.automatic" title="Connect automatically" text="To every trusted device that shows up" @turn="attempt('option', { name: 'automatic', value: $event })" />
      <div class="line-row"><span class="grow"><span class="strong">Check certificates</span><br /><span class="second">{{ check }}</span></span>
        <button type="button" class="btn plain" @click="go('/settings')">Change</button></div></section></div></div>
    <trust-dialog v-if="checking" :peer="checking" @close="checking = null" />
    <login-dialog v-if="entering" :peer="entering" @close="entering = null" /></div>`,
};
