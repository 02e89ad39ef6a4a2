// The dialog that adds an item.
import { act, say } from "./store.js";
import { DialogBox, MiIcon } from "./parts.js";

export const AddDialog = {
  components: { DialogBox, MiIcon },
  props: { name: String },
  emits: ["close"],
  data() {
    return { wanted: this.name, quantity: "0", unit: "", error: "" };
  },
  mounted() {
    this.$refs.name.focus();
  },
  methods: {
    async add() {
      try {
        await act("add", { name: this.wanted, quantity: this.quantity, unit: this.unit });
        say(`${this.wanted.trim()} added`);
        this.$emit("close");
      } catch (sentence) {
        this.error = String(sentence);
      }
    },
  },
  template: `<dialog-box label="Add an item" @close="$emit('close')"><form class="stack gap16" novalidate @submit.prevent="add"><h2>Add an item</h2>
    <label class="labelled"><span class="label">Name</span><input ref="name" class="field" v-model="wanted" maxlength="200" autocomplete="off" /></label>
    <div class="two"><label class="labelled"><span class="label">Quantity</span><input class="field" v-model="quantity" inputmode="numeric" maxlength="12" /></label>
    <label class="labelled"><span class="label">Unit</span><input class="field" v-model="unit" maxlength="40" placeholder="pieces" /></label></div>
    <p v-if="error" class="error" role="alert">{{ error }}</p>
    <div class="actions"><button type="button" class="btn line" @click="$emit('close')">Cancel</button>
      <button type="submit" class="btn main">Add</button></div></form></dialog-box>`,
};
