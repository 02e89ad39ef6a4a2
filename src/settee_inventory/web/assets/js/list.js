// The List tab: search, sort, steppers, direct entry; only what is in sight is in the page.
import { attempt, go, say, store } from "./store.js";
import { ago, counted } from "./words.js";
import { Dev, DialogBox, MiIcon, Segments, Txt } from "./parts.js";
import { AddDialog } from "./add.js";
import { HoldButton, step } from "./stepping.js";

const ROW_PX = 76;
const CARD_PX = 230;
const HOUR_MS = 3_600_000;
const FLASH_MS = 2_400;
const SORTS = [
  { value: "name", title: "Name", icon: "sort_by_alpha" },
  { value: "low", title: "Low first", icon: "south" },
  { value: "latest", title: "Latest", icon: "schedule" },
];
const collator = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });
const isLow = (item) => item.warn !== null && shown(item) < item.warn;
const shown = (item) => item.quantity + (store.flight[item.id] || 0);
const ORDERS = {
  name: (a, b) => collator.compare(a.name, b.name),
  low: (a, b) => isLow(b) - isLow(a) || collator.compare(a.name, b.name),
  latest: (a, b) => b.at - a.at || collator.compare(a.name, b.name),
};

const Tile = {
  components: { MiIcon },
  props: { item: Object },
  template: `<span class="tile"><img v-if="item.picture" :src="item.thumb" :class="{ photo: item.photo }"
    alt="" width="128" height="128" decoding="async" /><mi-icon v-else name="image" /></span>`,
};

/** One item, as a row or as a card. */
const ItemView = {
  components: { HoldButton, MiIcon, Tile, Txt },
  props: { item: Object },
  data: () => ({ entry: null, store }),
  computed: {
    fresh() {
      return store.fresh[this.item.id];
    },
    classes() {
      const fresh = this.fresh;
      if (!fresh) return [];
      const flash = store.now - fresh.at < FLASH_MS ? (fresh.flip ? "flash flash-b" : "flash") : "";
      return ["fresh", `c-${fresh.colour}`, flash];
    },
    quantity() {
      return shown(this.item);
    },
    low() {
      return isLow(this.item);
    },
    mayEdit: () => store.state.me.role !== "look",
    under() {
      const { item, fresh } = this;
      if (fresh) return { kind: "fresh", text: `${fresh.text}, ${ago(fresh.at, store.now)}` };
      if (item.waits) return { kind: "", text: "You, not sent yet" };
      if (this.low) return { kind: "low", text: `Low, under ${item.warn}` };
      const by = item.by && (item.by === store.state.me.id ? "You" : store.state.devices[item.by]?.name);
      if (by && store.now - item.at < HOUR_MS) return { kind: "", text: `${by}, ${ago(item.at, store.now)}` };
      return { kind: "", text: item.unit };
    },
  },
  methods: {
    go,
    step,
    open() {
      go(`/item/${encodeURIComponent(this.item.id)}`);
    },
    async type() {
      this.entry = this.began = String(this.quantity);
      await this.$nextTick();
      this.$refs.entry.select();
    },
    leave(keep) {
      const text = this.entry;
      this.entry = null;
      if (!keep || text === null || text.trim() === this.began) return;
      attempt("set_quantity", { id: this.item.id, text });
    },
    async enter() {
      this.leave(true);
      await this.$nextTick();
      this.$refs.number?.focus();
    },
    async escape() {
      this.leave(false);
      await this.$nextTick();
      this.$refs.number?.focus();
    },
  },
  template: `<div class="item" role="group" :aria-label="item.name" :class="classes" :data-id="item.id">
    <slot :item="item" />
    <tile :item="item" @click="open" />
    <button type="button" class="open grow" @click="open">
      <span class="name cut" style="display:block"><txt :of="item.name" /></span>
      <span class="under" :class="under.kind"><i v-if="fresh" class="dot"></i><mi-icon v-if="under.kind === 'low'" name="south" />
        <span class="cut"><txt :of="under.text" /></span></span></button>
    <span class="steps">
      <hold-button class="step" :label="'One less ' + item.name" :off="!mayEdit || quantity <= 0" @step="step(item, -1)"><span><mi-icon name="remove" /></span></hold-button>
      <input v-if="entry !== null" ref="entry" class="number-entry" type="text" inputmode="numeric" :aria-label="'Set ' + item.name + ' to'"
        v-model="entry" @keydown.enter.stop.prevent="enter" @keydown.esc.stop.prevent="escape" @keydown.stop @blur="leave(true)" maxlength="12" />
      <button v-else ref="number" type="button" class="number" :class="{ low }" :disabled="!mayEdit" :aria-label="item.name + ': ' + quantity + '. Set the number'"
        @click="type">{{ quantity }}</button>
      <hold-button class="step" :label="'One more ' + item.name" :off="!mayEdit" @step="step(item, 1)"><span><mi-icon name="add" /></span></hold-button>
    </span></div>`,
};

export const ListPage = {
  components: { AddDialog, Dev, DialogBox, ItemView, MiIcon, Segments, Txt },
  data: () => ({ query: "", sort: "name", adding: false, sorting: false, columns: 0, store, SORTS }),
  computed: {
    all: () => Object.values(store.state.items),
    found() {
      const wanted = this.query.trim().toLocaleLowerCase();
      const list = wanted ? this.all.filter((item) => item.name.toLocaleLowerCase().includes(wanted)) : this.all;
      return [...list].sort(ORDERS[this.sort]);
    },
    groups() {
      const size = this.columns || 1;
      const groups = [];
      for (let n = 0; n < this.found.length; n += size) groups.push(this.found.slice(n, n + size));
      return groups;
    },
    summary() {
      const { waits, alone } = store.state.links;
      const count = counted(this.all.length, "item");
      if (alone && waits) return `${count}, ${counted(waits, "change")} ${waits === 1 ? "waits" : "wait"} for a network`;
      const low = this.all.filter(isLow).length;
      return low ? `${count}, ${low} low` : count;
    },
    height() {
      return this.columns ? CARD_PX : ROW_PX;
    },
  },
  mounted() {
    this.measure = () => {
      const wide = this.$el.clientWidth;
      this.columns = innerWidth >= 900 ? Math.max(2, Math.floor((wide + 14) / 194)) : 0;
    };
    this.measure();
    addEventListener("resize", this.measure);
    addEventListener("keydown", this.key);
  },
  unmounted() {
    removeEventListener("resize", this.measure);
    removeEventListener("keydown", this.key);
  },
  methods: {
    go,
    key(event) {
      if (document.querySelector("dialog[open]")) return;
      const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
      if (event.key === "/" && !typing) {
        event.preventDefault();
        this.$refs.search.focus();
      } else if (event.key === "z" && (event.ctrlKey || event.metaKey) && !typing) {
        event.preventDefault();
        this.undo();
      }
    },
    async undo() {
      const undone = await attempt("undo");
      if (undone !== undefined) say(undone);
    },
    /** Keys on an item: arrows move, + and − count, Delete removes. */
    async onItem(event) {
      const at = event.target.closest(".item")?.dataset.id;
      const index = this.found.findIndex((item) => item.id === at);
      if (index < 0 || event.target.tagName === "INPUT") return;
      const item = this.found[index];
      const across = this.columns || 1;
      const moves = { ArrowDown: across, ArrowUp: -across, ArrowRight: this.columns ? 1 : 0, ArrowLeft: this.columns ? -1 : 0 };
      if (moves[event.key]) {
        event.preventDefault();
        await this.focus(Math.min(this.found.length - 1, Math.max(0, index + moves[event.key])));
      } else if (event.key === "+" || event.key === "=") step(item, 1);
      else if (event.key === "-") step(item, -1);
      else if (event.key === "Delete") this.remove(item, index);
    },
    async focus(index) {
      const id = this.found[index]?.id;
      const find = () => this.$el.querySelector(`.item[data-id="${CSS.escape(id)}"] .open`);
      if (!find()) this.$refs.scroll.scrollTo(Math.floor(index / (this.columns || 1)), "center");
      for (let tries = 0; tries < 10 && !find(); tries++) await new Promise(requestAnimationFrame);
      find()?.focus();
    },
    async remove(item, index) {
      if ((await attempt("remove", { id: item.id })) === undefined) return;
      say(`${item.name} removed`, { label: "Undo", run: () => attempt("undo") });
      await this.$nextTick();
      this.focus(Math.min(index, this.found.length - 1));
    },
    add(name) {
      this.adding = { name: name || "" };
    },
    pickSort(value) {
      this.sort = value;
      this.sorting = false;
    },
  },
  template: `<div class="page">
    <div class="page-head"><div class="grow"><h1>In season</h1><p class="second">{{ summary }}</p></div></div>
    <div class="finder">
      <div class="search"><mi-icon name="search" /><input ref="search" class="field" type="search" placeholder="Search items" aria-label="Search items" v-model="query"
        @keydown.esc="query = ''" /></div>
      <segments v-if="columns" :options="SORTS" :value="sort" legend="Sort" @pick="pickSort" />
      <button v-else type="button" class="btn line square" aria-label="Sort" @click="sorting = true"><mi-icon name="swap_vert" /></button>
      <button v-if="store.state.me.role !== 'look'" type="button" class="btn main" @click="add('')"><mi-icon name="add" />Add</button>
    </div>
    <div v-if="!all.length" class="empty card"><div class="pale"><span class="tile"><img src="/assets/produce/apples.svg" alt="" /></span>
      <span class="tile"><img src="/assets/produce/carrots.svg" alt="" /></span><span class="tile"><img src="/assets/produce/plums.svg" alt="" /></span></div>
      <h2>Nothing here yet</h2><div class="side"><button type="button" class="btn tonal" @click="add('')">Add the first item</button>
      <button type="button" class="btn line" @click="go('/browser')">Join another device</button></div></div>
    <div v-else-if="!found.length" class="empty card"><h2>No item like “<txt :of="query" />”</h2>
      <div class="side"><button type="button" class="btn tonal" @click="add(query)">Add it</button></div></div>
    <div v-else :class="columns ? '' : 'rows'" @keydown="onItem">
      <q-virtual-scroll ref="scroll" role="group" aria-label="Items" :items="groups" scroll-target="body" :virtual-scroll-item-size="height" :virtual-scroll-slice-size="columns ? 6 : 16"
        v-slot="{ item: group }">
        <div v-if="columns" class="cards" :key="group[0].id" :style="{ gridTemplateColumns: 'repeat(' + columns + ', minmax(0, 1fr))' }">
          <item-view v-for="each in group" :key="each.id" :item="each" /></div>
        <item-view v-else :key="group[0].id" :item="group[0]" />
      </q-virtual-scroll></div>
    <add-dialog v-if="adding" :name="adding.name" @close="adding = false" />
    <dialog-box v-if="sorting" label="Sort" kind="sheet" @close="sorting = false"><div class="sheet-head"><h2 class="grow">Sort</h2>
      <button type="button" class="btn plain square" aria-label="Close" @click="sorting = false"><mi-icon name="close" /></button></div>
      <div class="stack"><button v-for="each in SORTS" :key="each.value" type="button" class="btn wide" :class="each.value === sort ? 'tonal' : 'line'"
        @click="pickSort(each.value)"><mi-icon :name="each.icon" />{{ each.title }}</button></div></dialog-box>
  </div>`,
};
