// Dialogs of the Browser: six words to compare, and another login.
import { act, attempt, say } from "./store.js";
import { Dev, DialogBox, MiIcon, Txt, Words } from "./parts.js";

export const TrustDialog = {
  components: { Dev, DialogBox, MiIcon, Txt, Words },
  props: { peer: Object },
  emits: ["close"],
  data: () => ({ shown: null, error: "" }),
  async mounted() {
    try {
      this.shown = await act("probe", { key: this.peer.key });
    } catch (sentence) {
      this.error = String(sentence);
    }
  },
  computed: {
    groups() {
      return this.shown.fingerprint.match(/.{4}/g).join(" ");
    },
  },
  methods: {
    async same() {
      await attempt("trust", { key: this.peer.key, fingerprint: this.shown.fingerprint });
      this.$emit("close");
    },
    async differ() {
      await attempt("block", { key: this.peer.key });
      say(`${this.peer.name} is blocked: its words differed`);
      this.$emit("close");
    },
  },
  template: `<dialog-box :label="'Trust ' + peer.name" @close="$emit('close')">
    <div class="side"><dev :device="peer" size="big" /><div class="grow"><h2 class="cut">Trust <txt :of="peer.name" most="40" />?</h2>
      <p class="second cut">First contact<template v-if="peer.fact">, {{ peer.fact }}</template></p></div></div>
    <template v-if="shown"><p style="margin:16px 0">Read these words on the other device, under Listener. They must be the same.</p>
      <words :words="shown.words" />
      <details class="explain"><summary>Certificate details</summary><p>SHA-256 of its certificate:</p><p class="mono" style="overflow-wrap:anywhere">{{ groups }}</p>
        <p class="second">If the other device shows no words, its listener is anonymous: it has another key after each start, and can't be remembered.</p></details>
      <div class="actions"><button type="button" class="btn danger" @click="differ">They differ</button>
        <button type="button" class="btn main" @click="same"><mi-icon name="verified_user" />Same words, trust it</button></div></template>
    <template v-else><p style="margin:16px 0" :class="{ error }" role="status">{{ error || "Asking it for its certificate …" }}</p>
      <div class="actions"><button type="button" class="btn line" @click="$emit('close')">Close</button></div></template></dialog-box>`,
};

export const LoginDialog = {
  components: { DialogBox, Txt },
  props: { peer: Object },
  emits: ["close"],
  data: () => ({ user: "", password: "", error: "" }),
  methods: {
    async connect() {
      try {
        await act("connect", { key: this.peer.key, user: this.user, password: this.password });
        this.$emit("close");
      } catch (sentence) {
        this.error = String(sentence);
      }
    },
  },
  template: `<dialog-box label="Use another login" @close="$emit('close')"><form class="stack gap16" novalidate @submit.prevent="connect">
    <div><h2>Use another login</h2><p class="second">For <txt :of="peer.name" /> only. Kept on this device until you forget that one.</p></div>
    <label class="labelled"><span class="label">User</span><input class="field" v-model="user" maxlength="120" autocomplete="off" autocapitalize="none" spellcheck="false" /></label>
    <label class="labelled"><span class="label">Password</span><input class="field" type="password" v-model="password" maxlength="200" autocomplete="off" /></label>
    <p v-if="error" class="error" role="alert">{{ error }}</p>
    <div class="actions"><button type="button" class="btn line" @click="$emit('close')">Cancel</button>
      <button type="submit" class="btn main" :disabled="!user || !password">Connect</button></div></form></dialog-box>`,
};
