// The small parts that all pages share.
import { clipped } from "./words.js";
import { say } from "./store.js";

export const MiIcon = {
  props: { name: String },
  template: `<span class="mi" aria-hidden="true">{{ name }}</span>`,
};

/** Text that came from somebody else: text only, of bounded length, in its own direction. */
export const Txt = {
  props: { of: { default: "" }, most: { type: Number, default: 60 } },
  computed: {
    short() {
      return clipped(this.of, this.most);
    },
    title() {
      return this.short === String(this.of ?? "") ? null : String(this.of);
    },
  },
  template: `<bdi :title="title">{{ short }}</bdi>`,
};

export const Dev = {
  components: { MiIcon },
  props: { device: Object, size: { type: String, default: "" } },
  computed: {
    look() {
      return this.device || { icon: "help", colour: "grey" };
    },
  },
  template: `<span class="dev" :class="['c-' + look.colour, size]"><mi-icon :name="look.icon" /></span>`,
};

export const Chip = {
  components: { MiIcon },
  props: { tone: String, icon: String, text: String },
  template: `<span class="chip" :class="'s-' + tone"><mi-icon :name="icon" />{{ text }}</span>`,
};

/** A native dialog: the rest of the page is inert, Esc closes, the focus goes back. */
export const DialogBox = {
  props: { label: String, kind: { type: String, default: "box" } },
  emits: ["close"],
  mounted() {
    this.$el.showModal();
    // On the dialog itself, not on its first button; who wants a field focuses it afterwards.
    this.$el.focus();
  },
  beforeUnmount() {
    this.$el.close();
  },
  methods: {
    outside(event) {
      if (event.target === this.$el) this.$emit("close");
    },
  },
  template: `<dialog tabindex="-1" :class="kind" :aria-label="label" @cancel.prevent="$emit('close')" @mousedown="outside"><slot /></dialog>`,
};

export const Words = {
  props: { words: Array, inRow: Boolean },
  template: `<ol class="words" :class="{ 'in-row': inRow }" aria-label="Words to compare">
    <li v-for="(word, index) in words" :key="index"><span>{{ index + 1 }}</span>{{ word }}</li>
  </ol>`,
};

export const Copy = {
  components: { MiIcon },
  props: { text: String, label: String },
  data: () => ({ done: false }),
  methods: {
    async copy() {
      try {
        await navigator.clipboard.writeText(this.text);
        this.done = true;
        setTimeout(() => (this.done = false), 2000);
      } catch {
        say("This browser does not let the page copy. Mark the address and copy it.");
      }
    },
  },
  template: `<div class="address"><span class="mono">{{ text }}</span>
    <button type="button" class="btn" :aria-label="done ? null : label" @click="copy">
      <mi-icon v-if="!done" name="content_copy" /><template v-else><mi-icon name="check" />Copied</template>
    </button></div>`,
};

export const Choices = {
  props: { name: String, legend: String, options: Array, value: String },
  emits: ["pick"],
  template: `<fieldset role="radiogroup" :aria-label="legend">
    <label v-for="each in options" :key="each.value" class="choice">
      <input type="radio" :name="name" :value="each.value" :checked="each.value === value"
        @change="$emit('pick', each.value, $event)" />
      <span class="grow"><span class="strong" :class="{ warned: each.warned }">{{ each.title }}</span>
        <span class="second">{{ each.text }}</span></span>
      <slot :name="each.value" />
    </label></fieldset>`,
};

export const TurnSwitch = {
  props: { on: Boolean, title: String, text: String },
  emits: ["turn"],
  template: `<label class="line-row"><span class="grow"><span class="strong">{{ title }}</span><br />
    <span class="second">{{ text }}</span></span>
    <input type="checkbox" role="switch" class="switch" :checked="on" @change="$emit('turn', $event.target.checked)" /></label>`,
};

export const Segments = {
  components: { MiIcon },
  props: { options: Array, value: String, legend: String },
  emits: ["pick"],
  template: `<div class="segments" role="group" :aria-label="legend">
    <button v-for="each in options" :key="each.value" type="button"
      :aria-pressed="each.value === value" @click="$emit('pick', each.value)">
      <mi-icon v-if="each.icon" :name="each.icon" />{{ each.title }}
      <span v-if="each.count" class="badge">{{ each.count }}</span></button></div>`,
};

export const ICONS = {
  restaurant: "Fork and knife",
  storefront: "Shop front",
  local_shipping: "Van",
  computer: "Computer",
  tablet_mac: "Tablet",
  warehouse: "Warehouse",
};
export const COLOURS = ["amber", "blue", "plum", "teal", "brick", "grey"];

/** Icon and colour of a device. */
export const LookPicker = {
  components: { MiIcon },
  props: { icon: String, colour: String },
  emits: ["icon", "colour"],
  data: () => ({ ICONS, COLOURS }),
  template: `<div class="stack"><div><span class="label">Icon</span>
      <div class="picks" role="group" aria-label="Icon"><button v-for="(title, key) in ICONS" :key="key" type="button"
        class="pick" :aria-label="title" :aria-pressed="key === icon" @click="$emit('icon', key)"><mi-icon :name="key" /></button></div></div>
    <div><span class="label">Colour</span>
      <div class="picks" role="group" aria-label="Colour"><button v-for="each in COLOURS" :key="each" type="button"
        class="pick colour" :class="'c-' + each" :aria-label="each" :aria-pressed="each === colour" @click="$emit('colour', each)">
        <mi-icon v-if="each === colour" name="check" /></button></div></div></div>`,
};
