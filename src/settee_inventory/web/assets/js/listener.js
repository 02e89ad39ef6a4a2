// The Listener tab: on or off, the invitation, how it encrypts, who is connected.
import { act, attempt, say, store } from "./store.js";
import { bytes, clock, counted, span, whole } from "./words.js";
import { Chip, Choices, Copy, Dev, DialogBox, MiIcon, Txt, Words } from "./parts.js";

const WIDE = matchMedia("(min-width: 900px)");
const MODES = [
  { value: "generated", title: "Generated identity", text: "Own certificate, kept. Devices can remember and trust it." },
  { value: "anonymous", title: "Anonymous", text: "Encrypted, but nobody can check who this is." },
  { value: "own", title: "Own certificate file", text: "From a .p12 file, for pinning or your own authority." },
  { value: "none", title: "No encryption", text: "Anyone on this network can read along. For tests.", warned: true },
];

/** "Stop listening?", with who would be cut off; the list is live. */
const StopDialog = {
  components: { Dev, DialogBox, Txt },
  props: { clients: Array },
  emits: ["close", "stop"],
  data: () => ({ store }),
  computed: {
    one() {
      return this.clients.length === 1;
    },
  },
  mounted() {
    this.$refs.keep.focus();
  },
  methods: { counted },
  template: `<dialog-box label="Stop listening?" @close="$emit('close')"><h2>Stop listening?</h2>
    <p v-if="clients.length" class="second" style="font-size:16px;line-height:24px;margin:12px 0">
      {{ one ? "One device is" : counted(clients.length, "device") + " are" }} connected now. {{ one ? "It keeps its" : "They keep their" }} data and {{ one ? "goes" : "go" }} on working, but {{ one ? "stops" : "stop" }} receiving changes from {{ store.state.me.name }}.</p>
    <p v-else class="second" style="font-size:16px;line-height:24px;margin:12px 0">Everybody has left meanwhile. Nobody is connected now.</p>
    <ul><li v-for="each in clients" :key="each.number" class="client"><dev :device="each" /><div class="grow"><div class="strong cut"><txt :of="each.name" /></div>
      <div class="second cut"><txt :of="each.user" />, {{ each.doing }}</div></div></li></ul>
    <div class="stack" style="margin-top:20px"><button ref="keep" type="button" class="btn line wide" @click="$emit('close')">Keep listening</button>
      <button type="button" class="btn stop wide" @click="$emit('stop')">{{ clients.length ? "Stop and disconnect " + clients.length : "Stop" }}</button></div></dialog-box>`,
};

const Invitation = {
  components: { Copy, DialogBox, Words },
  props: { listener: Object },
  data: () => ({ qr: "", full: false }),
  watch: {
    "listener.qr": {
      immediate: true,
      async handler() {
        this.qr = (await attempt("qr")) || "";
      },
    },
  },
  template: `<div><div class="invite"><button v-if="qr" type="button" class="qr" aria-label="QR code of the address, show it large" @click="full = true"><img :src="qr" alt="" /></button>
      <div class="stack"><div v-for="(url, n) in listener.urls" :key="url"><span class="label">{{ n ? "If names don’t work" : "Address" }}</span>
        <copy :text="url" :label="'Copy ' + url" /></div></div></div>
    <div style="margin-top:16px"><template v-if="listener.words.length"><span class="label" style="margin-bottom:6px">Words others compare with</span><words :words="listener.words" in-row /></template>
      <p v-else class="second">{{ listener.mode === "none" ? "Without encryption there are no words to compare." : "An anonymous listener has no words that last: others can't remember it." }}</p></div>
    <dialog-box v-if="full" label="QR code" kind="box qr-full" @close="full = false"><img :src="qr" alt="QR code of the address" @click="full = false" /></dialog-box></div>`,
};

export const ListenerPage = {
  components: { Chip, Choices, DialogBox, Dev, Invitation, MiIcon, StopDialog, Txt },
  data: () => ({ MODES, store, stopping: false, busy: false, file: null, password: "", owning: false, error: "", wide: WIDE.matches }),
  created() {
    this.measure = (event) => (this.wide = event.matches);
    WIDE.addEventListener("change", this.measure);
  },
  unmounted() {
    WIDE.removeEventListener("change", this.measure);
  },
  computed: {
    listener: () => store.state.listener,
    headline() {
      if (!this.listener.online) return `${this.listener.name} has no network`;
      return this.listener.running ? `${this.listener.name} is listening` : `${this.listener.name} is not listening`;
    },
    below() {
      const { running, port, visible, online } = this.listener;
      if (!online) return "It listens again when it is back.";
      if (!running) return "Nobody can connect to this device.";
      return `Port ${port}, ${visible ? "visible to devices nearby" : "not shown to devices nearby"}`;
    },
    restart() {
      const count = this.listener.clients.length;
      if (!count) return "Changing this restarts the listener.";
      return `Changing this restarts the listener; ${counted(count, "device")} ${count === 1 ? "reconnects by itself" : "reconnect by themselves"}.`;
    },
    since() {
      return `Listening for ${span(store.now - this.listener.since)}`;
    },
    summary() {
      const { clients } = this.listener;
      const busy = clients.filter((each) => each.busy).length;
      return busy ? `${counted(clients.length, "device")}, ${busy} busy` : counted(clients.length, "device");
    },
  },
  methods: {
    attempt,
    bytes,
    clock,
    whole,
    async start(anywhere) {
      this.busy = true;
      await attempt("listen", { anywhere });
      this.busy = false;
    },
    stop() {
      if (this.listener.clients.length) this.stopping = true;
      else this.really();
    },
    async really() {
      this.stopping = false;
      await attempt("stop_listening");
      store.spoken = "Stopped listening";
    },
    async pick(mode, event) {
      this.error = "";
      if (mode === "own") {
        event.target.checked = false;
        this.owning = true;
        return;
      }
      await attempt("encryption", { mode });
      this.$forceUpdate();
    },
    async own() {
      try {
        const args = { mode: "own", password: this.password };
        if (this.file) args.file = await base64(this.file);
        await act("encryption", args);
        this.owning = false;
        this.password = "";
      } catch (sentence) {
        this.error = String(sentence);
      }
    },
    async drop(client) {
      const { number } = client;
      if (!(await attempt("drop", { number }))) return;
      const action = client.device && { label: "Block it", run: () => attempt("keep_out", { device: client.device }) };
      say(`${client.name} is disconnected. It may connect again.`, action);
    },
    let_in(device) {
      attempt("let_in", { device });
    },
  },
  template: `<div class="page"><div class="page-head"><div class="grow"><h1>Listener</h1><p class="second">Other devices connect to this one</p></div></div>
    <div class="columns"><section class="card" :aria-label="headline"><div class="state-head"><div class="grow"><h2><txt :of="headline" /></h2><p class="second">{{ below }}</p></div>
        <button v-if="listener.running" type="button" class="btn line" @click="stop"><mi-icon name="stop_circle" />Stop</button>
        <button v-else type="button" class="btn main" :disabled="busy || !listener.online" @click="start(false)"><mi-icon name="sensors" />Start</button></div>
      <div v-if="listener.problem" class="note s-bad" role="alert" style="margin-top:12px"><span style="color:var(--ink)">{{ listener.problem }}</span>
        <button type="button" class="btn plain" @click="start(true)">Use another port</button></div>
      <chip v-if="listener.running" tone="ok" icon="sensors" :text="since" style="margin-top:8px" />
      <invitation v-if="listener.running" :listener="listener" /></section>
    <section class="card" aria-label="Encryption"><h2 style="margin-bottom:12px">Encryption</h2>
      <choices name="mode" legend="Encryption" :options="MODES" :value="listener.mode" @pick="pick" />
      <p class="second" style="margin-top:12px">{{ restart }}</p>
      <details class="explain"><summary>Which check fits on the other devices</summary><table class="pairs"><thead><tr><th scope="col">Here</th><th scope="col">There</th><th scope="col">Gives</th></tr></thead>
        <tbody><tr v-for="(pair, n) in store.state.options.pairs" :key="n"><td>{{ pair[0] }}</td><td>{{ pair[1] }}</td><td class="second">{{ pair[2] }}</td></tr></tbody></table></details></section>
    <section class="card all" aria-label="Connected now"><div class="side" style="margin-bottom:8px"><h2 class="grow">Connected now</h2><span class="second">{{ summary }}</span></div>
      <p v-if="!listener.clients.length" class="second" style="margin-top:8px">No device is connected. {{ listener.running ? "Scan the code above with another one." : "Start the listener first." }}</p>
      <table v-if="wide && listener.clients.length" class="clients"><thead><tr><th scope="col">Device</th><th scope="col">User</th><th scope="col">Address</th><th scope="col">Since</th>
          <th scope="col" class="num">Documents in</th><th scope="col" class="num">Documents out</th><th scope="col">State</th><th scope="col"><span class="hidden-text">Disconnect</span></th></tr></thead>
        <tbody><tr v-for="each in listener.clients" :key="each.number" :data-client="each.name"><td><span class="side"><dev :device="each" /><span class="strong"><txt :of="each.name" /></span></span></td>
          <td><txt :of="each.user" /></td><td class="mono">{{ each.address }}</td><td :title="whole(each.since)">{{ clock(each.since) }}</td>
          <td class="num">{{ each.in }} ({{ bytes(each.bytes_in) }})</td><td class="num">{{ each.out }} ({{ bytes(each.bytes_out) }})</td>
          <td><chip :tone="each.busy ? 'busy' : 'ok'" :icon="each.busy ? 'sync' : 'check'" :text="each.busy ? 'Syncing' : 'In sync'" /></td>
          <td class="num"><button type="button" class="btn danger" :aria-label="'Disconnect ' + each.name" @click="drop(each)">Disconnect</button></td></tr></tbody></table>
      <div v-else v-for="each in listener.clients" :key="each.number" class="client" :data-client="each.name"><dev :device="each" /><div class="grow"><div class="strong cut"><txt :of="each.name" /></div>
        <div class="second"><txt :of="each.user" />, <span class="mono">{{ each.address }}</span>, since {{ clock(each.since) }}</div>
        <div class="second">Documents: {{ each.in }} in ({{ bytes(each.bytes_in) }}), {{ each.out }} out ({{ bytes(each.bytes_out) }})</div></div>
        <chip :tone="each.busy ? 'busy' : 'ok'" :icon="each.busy ? 'sync' : 'check'" :text="each.busy ? 'Syncing' : 'In sync'" />
        <button type="button" class="btn danger" :aria-label="'Disconnect ' + each.name" @click="drop(each)">Disconnect</button></div>
      <p v-for="each in listener.kept_out" :key="each.id" class="second side" style="margin-top:8px"><span class="grow"><txt :of="each.name" /> is blocked here.</span>
        <button type="button" class="btn plain" @click="let_in(each.id)">Let it in again</button></p></section></div>
    <stop-dialog v-if="stopping" :clients="listener.clients" @close="stopping = false" @stop="really" />
    <dialog-box v-if="owning" label="Own certificate file" @close="owning = false"><form class="stack gap16" novalidate @submit.prevent="own"><h2>Own certificate file</h2>
      <label class="labelled"><span class="label">File (.p12 or .pfx); empty takes the one that was chosen before</span><input class="field" style="padding-top:10px" type="file" accept=".p12,.pfx" @change="file = $event.target.files[0]" /></label>
      <label class="labelled"><span class="label">Password of the file</span><input class="field" type="password" v-model="password" maxlength="200" autocomplete="off" /></label>
      <p v-if="error" class="error" role="alert">{{ error }}</p>
      <div class="actions"><button type="button" class="btn line" @click="owning = false">Cancel</button><button type="submit" class="btn main">Use it</button></div></form></dialog-box></div>`,
};

export async function base64(file) {
  const data = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (const each of data) text += String.fromCharCode(each);
  return btoa(text);
}
