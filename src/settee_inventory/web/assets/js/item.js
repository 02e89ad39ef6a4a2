// The sheet of one item. What another device does to the field that has the focus never touches it.
import { act, attempt, go, say, store } from "./store.js";
import { ago, counted, whole } from "./words.js";
import { Dev, DialogBox, MiIcon, Txt } from "./parts.js";
import { HoldButton, step } from "./stepping.js";
import { PicturePart } from "./picture.js";

const QUIET_MS = 400;

/** A field that saves by itself, and shows beside itself what came while one was typing. */
const SavingField = {
  components: { MiIcon, Txt, Dev },
  props: { label: String, value: String, save: Function, known: Function, said: Object, numeric: Boolean, locked: Boolean },
  data() {
    return { text: this.value, base: this.value, other: null, kept: "", error: "", focused: false };
  },
  watch: {
    value(value) {
      if (value === this.text) {
        this.base = value;
        this.other = null;
      } else if (this.focused) this.other = { value, by: this.said };
      else this.text = this.base = value;
    },
  },
  methods: {
    typed() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.keep(), QUIET_MS);
    },
    enter() {
      this.focused = true;
      this.kept = "";
      // What is written over: all that could be seen when the typing began.
      this.seen = [this.value, ...this.known()];
    },
    async keep() {
      clearTimeout(this.timer);
      if (this.text === this.base) return;
      const text = this.text;
      const { other } = this;
      try {
        await this.save(text, this.seen);
        this.base = text;
        this.error = "";
        if (other) this.kept = other.by?.name || "another device";
        if (this.other === other) this.other = null;
      } catch (sentence) {
        this.error = String(sentence);
      }
    },
    async leave() {
      this.focused = false;
      await this.keep();
      if (this.other) this.use();
    },
    use() {
      clearTimeout(this.timer);
      this.text = this.base = this.other.value;
      this.seen.push(this.text);
      this.other = null;
    },
  },
  beforeUnmount() {
    this.keep();
  },
  template: `<div><label class="labelled"><span class="label">{{ label }}</span>
    <input class="field" v-model="text" :inputmode="numeric ? 'numeric' : 'text'" :readonly="locked" maxlength="200" autocomplete="off" :aria-invalid="error ? 'true' : null"
      @focus="enter" @input="typed" @blur="leave" @keydown.enter="keep" /></label>
    <div v-if="other" class="strip" :class="'c-' + (other.by?.colour || 'grey')" role="status"><dev :device="other.by" size="tiny" />
      <span class="grow"><txt :of="other.by?.name || 'Another device'" /> changed this to <b><txt :of="other.value" /></b></span>
      <button type="button" class="btn plain" @mousedown.prevent @click="use">Use it</button></div>
    <p v-else-if="kept" class="second" role="status">Yours is shown now. What <txt :of="kept" /> wrote is under Activity.</p>
    <p v-if="error" class="error" role="alert">{{ error }}</p></div>`,
};

export const ItemSheet = {
  components: { Dev, DialogBox, HoldButton, MiIcon, PicturePart, SavingField, Txt },
  props: { id: String },
  data: () => ({ store, past: [], entry: null, error: "" }),
  computed: {
    item() {
      return store.state.items[this.id];
    },
    mayEdit: () => store.state.me.role !== "look",
    quantity() {
      return this.item.quantity + (store.flight[this.id] || 0);
    },
    by() {
      return store.state.devices[this.item.by];
    },
    saved() {
      if (this.item.waits) return { tone: "wait", icon: "schedule", text: "Saved here, waits for a network" };
      const count = store.state.links.synced;
      if (!count) return { tone: "ok", icon: "check_circle", text: "Saved here" };
      return { tone: "ok", icon: "check_circle", text: `Saved here and on ${counted(count, "device")}` };
    },
  },
  watch: {
    item: { immediate: true, handler: "learn" },
  },
  methods: {
    ago,
    whole,
    step,
    async learn() {
      this.past = (await attempt("history", { id: this.id })) || [];
    },
    close() {
      if (history.state?.inside) history.back();
      else go("/");
    },
    save(field) {
      return (text, seen) => act("field", { id: this.id, field, text, seen });
    },
    /** What a field's open conflict holds: whoever opens the sheet may have seen it under Activity. */
    known(field) {
      const name = field === "warn" ? "warn_under" : field;
      const conflict = store.state.conflicts.find((each) => each.id === this.id && each.field === name);
      return () => (conflict ? conflict.versions.map((each) => each.plain) : []);
    },
    async begin(event) {
      // As text: who leaves it as it was sets nothing, however often others have counted meanwhile.
      this.entry = this.began = String(this.quantity);
      await this.$nextTick();
      event.target.select();
    },
    async set() {
      const text = this.entry;
      this.entry = null;
      if (text === null || text.trim() === this.began) return;
      try {
        await act("set_quantity", { id: this.id, text });
        this.error = "";
      } catch (sentence) {
        this.error = String(sentence);
      }
    },
    async remove() {
      const { name } = this.item;
      if ((await attempt("remove", { id: this.id })) === undefined) return;
      go("/");
      say(`${name} removed`, { label: "Undo", run: () => attempt("undo") });
    },
  },
  template: `<dialog-box kind="sheet" :label="item.name" @close="close"><div class="sheet-head"><h2 class="grow cut"><txt :of="item.name" /></h2>
      <button type="button" class="btn plain square" aria-label="Close" @click="close"><mi-icon name="close" /></button></div>
    <div class="sheet-body">
      <picture-part :item="item" :locked="!mayEdit" />
      <saving-field label="Name" :value="item.name" :save="save('name')" :known="known('name')" :said="by" :locked="!mayEdit" />
      <div><span class="label" id="quantity-label">Quantity</span><div class="stepper" role="group" aria-labelledby="quantity-label">
        <hold-button class="step" :label="'One less ' + item.name" :off="!mayEdit || quantity <= 0" @step="step(item, -1)"><mi-icon name="remove" /></hold-button>
        <input inputmode="numeric" :aria-label="'Set ' + item.name + ' to'" :value="entry ?? quantity" :readonly="!mayEdit" maxlength="12"
          @focus="begin" @input="entry = $event.target.value" @blur="set" @keydown.enter="$event.target.blur()" />
        <hold-button class="step" :label="'One more ' + item.name" :off="!mayEdit" @step="step(item, 1)"><mi-icon name="add" /></hold-button></div>
        <p v-if="error" class="error" role="alert">{{ error }}</p></div>
      <div class="two"><saving-field label="Unit" :value="item.unit" :save="save('unit')" :known="known('unit')" :said="by" :locked="!mayEdit" />
        <saving-field label="Warn me under" numeric :value="item.warn === null ? '' : String(item.warn)" :save="save('warn')" :known="known('warn')" :said="by" :locked="!mayEdit" /></div>
      <div v-if="past.length"><h3 class="label">Last changes</h3><ul class="past"><li v-for="(each, n) in past" :key="n">
        <dev :device="store.state.devices[each.by]" size="tiny" /><span class="grow cut"><b><txt :of="each.who" /></b> <txt :of="each.did" /></span>
        <time class="second" :title="whole(each.at)">{{ ago(each.at, store.now) }}</time></li></ul></div>
      <div class="sheet-foot"><span class="chip" :class="'t-' + saved.tone" style="background:none;padding:4px 0"><mi-icon :name="saved.icon" />{{ saved.text }}</span>
        <button v-if="mayEdit" type="button" class="btn danger" @click="remove">Remove item</button></div>
    </div></dialog-box>`,
};
