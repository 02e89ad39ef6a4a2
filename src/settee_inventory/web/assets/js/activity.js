// The Activity tab: what could not merge, and who did what when.
import { attempt, say, store } from "./store.js";
import { clock, day, whole } from "./words.js";
import { Chip, Dev, MiIcon, Segments, Txt } from "./parts.js";

/** One field with several versions: the shown one framed, Restore on the others. */
const Conflict = {
  components: { Chip, Dev, MiIcon, Txt },
  props: { conflict: Object },
  data: () => ({ store }),
  methods: {
    clock,
    whole,
    async restore(version) {
      await attempt("restore", { id: this.conflict.id, field: this.conflict.field, version: version.version });
      say("Restored. Undo takes it back.", { label: "Undo", run: () => attempt("undo") });
    },
    keep() {
      attempt("keep", { id: this.conflict.id, field: this.conflict.field });
    },
  },
  template: `<section class="card" :aria-label="conflict.title"><div class="state-head"><div><h2><txt :of="conflict.title" most="80" /></h2>
      <p class="second"><txt :of="conflict.line" most="160" /></p></div><chip tone="wait" icon="call_split" text="Your choice" /></div>
    <div class="versions"><div v-for="(each, n) in conflict.versions" :key="each.version" class="version" :class="{ shown: n === 0 }">
      <span v-if="conflict.field === 'picture'" class="tile"><img v-if="each.thumb" :src="'/picture/' + encodeURIComponent(each.thumb)" alt="" /><span v-else class="second">No picture</span></span>
      <p v-else class="value"><txt :of="each.text" /></p>
      <div class="side" style="gap:8px"><dev :device="store.state.devices[each.by]" size="tiny" /><div class="grow"><div class="strong cut" style="font-size:14px;line-height:20px"><txt :of="each.who" /></div>
        <div class="least" :title="whole(each.at)">{{ clock(each.at, true) }}</div></div></div>
      <button v-if="n === 0" type="button" class="btn tonal wide" aria-label="Keep the one that is shown" @click="keep"><mi-icon name="check" />Keep it</button>
      <button v-else type="button" class="btn line wide" @click="restore(each)"><mi-icon name="undo" />Restore</button></div></div></section>`,
};

export const ActivityPage = {
  components: { Conflict, Dev, MiIcon, Segments, Txt },
  data: () => ({ store, kind: "all", log: null }),
  computed: {
    conflicts: () => store.state.conflicts,
    kinds() {
      return [
        { value: "all", title: "All" },
        { value: "changes", title: "Changes" },
        { value: "conflicts", title: "Conflicts", count: this.conflicts.length },
        { value: "errors", title: "Errors" },
      ];
    },
    shown() {
      return (this.log || []).filter((each) => this.kind === "all" || each.kind === this.kind);
    },
    days() {
      const days = [];
      for (const each of this.shown) {
        const name = day(each.at, store.now);
        if (!days.length || days.at(-1).name !== name) days.push({ name, entries: [] });
        days.at(-1).entries.push(each);
      }
      return days;
    },
  },
  watch: {
    "store.state.logged": { immediate: true, handler: "load" },
  },
  methods: {
    clock,
    whole,
    async load() {
      this.log = (await attempt("activity")) || [];
    },
  },
  template: `<div class="page"><div class="page-head"><div class="grow"><h1>Activity</h1><p class="second">Who changed what, and when it arrived</p></div>
      <a class="btn line" href="/diagnostics" download aria-describedby="diagnostics-holds"><mi-icon name="download" />Diagnostics</a></div>
    <p id="diagnostics-holds" class="second" style="margin:-8px 0 12px">The diagnostics file holds versions, states, counts and the last errors; no passwords, keys or documents.</p>
    <segments :options="kinds" :value="kind" legend="Show" style="margin-bottom:16px" @pick="kind = $event" />
    <div class="columns"><div><conflict v-if="kind === 'all' || kind === 'conflicts'" v-for="each in conflicts" :key="each.id + each.field" :conflict="each" />
      <section v-if="!conflicts.length" class="card"><div class="side"><mi-icon name="merge" style="color:var(--ok)" /><p class="grow">Nothing waits for a decision. What merged by itself stands in the log.</p></div></section></div>
    <section class="card" aria-label="Log"><p v-if="log && !shown.length" class="second">Quiet so far. Changes from here and from others appear here.</p>
      <template v-for="group in days" :key="group.name"><h2 style="margin-top:4px">{{ group.name }}</h2><ul class="log"><li v-for="each in group.entries" :key="each.id">
        <span v-if="each.icon" class="dev" :class="each.bad ? 's-bad' : 's-ok'" :style="'background:var(--' + (each.bad ? 'bad' : 'ok') + '-tint);color:var(--' + (each.bad ? 'bad' : 'ok') + ')'"><mi-icon :name="each.icon" /></span>
        <dev v-else :device="each.device" /><div class="grow"><div><b><txt :of="each.who" /></b> <txt :of="each.did" most="200" /></div>
        <div class="least" :title="whole(each.at)">{{ clock(each.at, true) }}<template v-if="each.more">, <txt :of="each.more" most="200" /></template></div></div></li></ul></template></section></div></div>`,
};
