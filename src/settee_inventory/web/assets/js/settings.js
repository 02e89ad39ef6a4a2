// The Settings tab.
import { act, appearance, attempt, say, store } from "./store.js";
import { Choices, Dev, DialogBox, LookPicker, MiIcon, Segments, TurnSwitch, Txt } from "./parts.js";
import { base64 } from "./listener.js";

const CHECKS = [
  { value: "first use", title: "Trust on first use", text: "Compare words once per device. Refuses any other key later. Recommended." },
  { value: "pinned", title: "Pinned certificate", text: "Only the exact file you chose. Refuses all others." },
  { value: "authority", title: "Certificate authority", text: "Refuses generated and anonymous listeners." },
  { value: "none", title: "No check", text: "Accepts any self-signed one, whoever it is. For tests only.", warned: true },
];
const LOOKS = [
  { value: "auto", title: "Auto" },
  { value: "light", title: "Light" },
  { value: "dark", title: "Dark" },
];

const UserDialog = {
  components: { Choices, DialogBox, Txt },
  props: { user: Object },
  emits: ["close"],
  data() {
    return { name: this.user.name, role: this.user.role || "edit", password: "", error: "" };
  },
  methods: {
    async save() {
      try {
        await act("user", { name: this.name, role: this.role, password: this.password });
        this.$emit("close");
      } catch (sentence) {
        this.error = String(sentence);
      }
    },
    async remove() {
      try {
        await act("remove_user", { name: this.user.name });
        say(`${this.user.name} can't log in any more`);
        this.$emit("close");
      } catch (sentence) {
        this.error = String(sentence);
      }
    },
  },
  template: `<dialog-box :label="user.name || 'Add a user'" @close="$emit('close')"><form class="stack gap16" novalidate @submit.prevent="save">
    <h2><txt :of="user.name || 'Add a user'" /></h2>
    <label v-if="!user.name" class="labelled"><span class="label">User</span><input class="field" v-model="name" maxlength="120" autocomplete="off" autocapitalize="none" spellcheck="false" /></label>
    <label class="labelled"><span class="label">{{ user.name ? "New password; empty leaves it as it is" : "Password" }}</span><input class="field" type="password" v-model="password" maxlength="200" autocomplete="new-password" /></label>
    <choices name="role" legend="Role" :value="role" :options="[{ value: 'edit', title: 'Can edit', text: 'Changes from this user are taken.' }, { value: 'look', title: 'Can look only', text: 'Gets the list; changes are refused.' }]" @pick="role = $event" />
    <p v-if="error" class="error" role="alert">{{ error }}</p>
    <div class="actions"><button v-if="user.name && !user.here" type="button" class="btn danger" style="margin-right:auto" @click="remove">Remove</button>
      <button type="button" class="btn line" @click="$emit('close')">Cancel</button><button type="submit" class="btn main" :disabled="!name.trim()">Save</button></div></form></dialog-box>`,
};

export const SettingsPage = {
  components: { Choices, Dev, LookPicker, MiIcon, Segments, TurnSwitch, Txt, UserDialog },
  data() {
    return { CHECKS, LOOKS, store, name: store.state.me.name, look: appearance(), user: null, error: "" };
  },
  computed: {
    state: () => store.state,
    mayEdit: () => store.state.me.role !== "look",
  },
  methods: {
    attempt,
    pickLook(value) {
      this.look = appearance(value);
    },
    async device(changes) {
      const { icon, colour } = this.state.me;
      try {
        await act("device", { name: this.name, icon, colour, ...changes });
        this.error = "";
      } catch (sentence) {
        this.error = String(sentence);
      }
    },
    turn(name, value) {
      return attempt("option", { name, value });
    },
    async take(what, event) {
      const file = event.target.files[0];
      event.target.value = "";
      if (file && (await attempt("certificate_file", { what, file: await base64(file) })) !== undefined) say("The file is taken");
    },
  },
  template: `<div class="page"><div class="page-head"><h1>Settings</h1></div><div class="columns even"><div>
    <section class="card" aria-label="This device"><h2 style="margin-bottom:12px">This device</h2>
      <div class="side" style="align-items:flex-end"><dev :device="state.me" size="big" /><label class="labelled grow"><span class="label">Name others see</span>
        <input class="field" v-model="name" maxlength="40" autocomplete="off" @blur="device({})" @keydown.enter="$event.target.blur()" /></label></div>
      <p v-if="error" class="error" role="alert">{{ error }}</p>
      <look-picker style="margin-top:16px" :icon="state.me.icon" :colour="state.me.colour" @icon="device({ icon: $event })" @colour="device({ colour: $event })" />
      <p class="least" style="margin-top:8px">The colour marks your changes on the other devices</p></section>
    <section class="card" aria-label="How certificates are checked"><h2 style="margin-bottom:12px">How certificates are checked</h2>
      <choices name="check" legend="How certificates are checked" :options="CHECKS" :value="state.options.check" @pick="turn('check', $event)" />
      <div v-if="state.options.check === 'pinned'" style="margin-top:12px"><label class="labelled"><span class="label">{{ state.options.pinned ? "Another certificate file" : "Certificate file (.pem, .cer)" }}</span>
        <input class="field" style="padding-top:10px" type="file" accept=".pem,.crt,.cer,.der" @change="take('pinned', $event)" /></label></div>
      <div v-if="state.options.check === 'authority'" style="margin-top:12px"><label class="labelled"><span class="label">{{ state.options.roots ? "Another file of authorities" : "Own authorities (.pem); without it, the system's" }}</span>
        <input class="field" style="padding-top:10px" type="file" accept=".pem,.crt,.cer" @change="take('roots', $event)" /></label></div>
      <details class="explain"><summary>Which listener mode fits to which check</summary><table class="pairs"><thead><tr><th scope="col">Listener there</th><th scope="col">Check here</th><th scope="col">Gives</th></tr></thead>
        <tbody><tr v-for="(pair, n) in state.options.pairs" :key="n"><td>{{ pair[0] }}</td><td>{{ pair[1] }}</td><td class="second">{{ pair[2] }}</td></tr></tbody></table></details></section></div>
    <div><section class="card" aria-label="Who may connect"><div class="side" style="margin-bottom:8px"><h2 class="grow">Who may connect</h2>
        <button v-if="mayEdit" type="button" class="btn tonal" @click="user = { name: '' }"><mi-icon name="person_add" />Add user</button></div>
      <div v-for="each in state.users" :key="each.name" class="line-row"><span class="letter" aria-hidden="true">{{ [...each.name][0].toUpperCase() }}</span>
        <span class="grow cut"><span class="strong"><txt :of="each.name" /></span><br /><span class="second">{{ each.role === "look" ? "can look only" : "can edit" }}{{ each.here ? ", this device" : "" }}</span></span>
        <button v-if="mayEdit" type="button" class="btn plain square" :aria-label="'Change ' + each.name" @click="user = each"><mi-icon name="more_horiz" /></button></div></section>
    <section class="card" aria-label="Sync"><h2>Sync</h2>
      <turn-switch :on="state.options.visible" title="Show this device nearby" :text="'Others find ' + state.me.name + ' by name'" @turn="turn('visible', $event)" />
      <turn-switch :on="state.options.delta" title="Send only what changed" text="Delta sync, less data on slow links" @turn="turn('delta', $event)" />
      <turn-switch :on="state.options.mirror" title="Keep the original app in step" text="Writes the single list document too" @turn="turn('mirror', $event)" /></section>
    <section class="card side" aria-label="Appearance"><h2 class="grow">Appearance</h2><segments :options="LOOKS" :value="look" legend="Appearance" @pick="pickLook" /></section>
    <section class="card" aria-label="About"><h2>About</h2><p class="second" style="margin-top:8px">Produce pictures: Fluent Emoji, © Microsoft Corporation, MIT; 19 drawn for settee in their style. Type: Figtree, © The Figtree Project Authors, OFL 1.1.
      Icons: Material Icons, Apache 2.0. Words to compare: the English list of BIP 39, MIT.</p></section>
    <section class="card" aria-label="Log out"><div class="side"><p class="grow second">Logging out stops the listener and all connections. What waits is sent after the next log in.</p>
      <button type="button" class="btn line" @click="attempt('log_out')"><mi-icon name="logout" />Log out</button></div></section></div></div>
    <user-dialog v-if="user" :user="user" @close="user = null" /></div>`,
};
