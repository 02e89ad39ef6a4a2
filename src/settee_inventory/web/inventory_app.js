// The element that the page function puts in the page: it hands the state to the Vue components
// and what people do to Python.
import { Shell, answer, connect, patch, say } from "settee-inventory";

export default {
  components: { Shell },
  props: { state: Object },
  emits: ["act"],
  created() {
    connect(JSON.parse(JSON.stringify(this.state)), (request) => this.$emit("act", request));
  },
  methods: { answer, patch, say },
  template: `<div><shell /></div>`,
};
