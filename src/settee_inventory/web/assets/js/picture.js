// The picture of an item: shown, and changed by file, camera, drop or paste.
import { say, store } from "./store.js";
import { MiIcon } from "./parts.js";

export const PicturePart = {
  components: { MiIcon },
  props: { item: Object, locked: Boolean },
  data: () => ({ over: false, busy: false, error: "" }),
  computed: {
    camera: () => matchMedia("(pointer: coarse)").matches,
  },
  mounted() {
    addEventListener("paste", this.pasted);
  },
  unmounted() {
    removeEventListener("paste", this.pasted);
  },
  methods: {
    pasted(event) {
      const file = [...(event.clipboardData?.files || [])].find((each) => each.type.startsWith("image/"));
      if (!file) return;
      event.preventDefault();
      this.send(file);
    },
    dropped(event) {
      this.over = false;
      if (event.dataTransfer.files[0]) this.send(event.dataTransfer.files[0]);
    },
    picked(event) {
      if (event.target.files[0]) this.send(event.target.files[0]);
      event.target.value = "";
    },
    async send(file) {
      if (this.locked || this.busy) return;
      this.busy = true;
      this.error = "";
      try {
        const body = new FormData();
        body.append("picture", file);
        const response = await fetch(`/item/${encodeURIComponent(this.item.id)}/picture`, { method: "POST", body });
        if (!response.ok) this.error = await response.text();
        else store.spoken = "Picture changed";
      } catch {
        say("The page has lost its device. Is the program still running?");
      }
      this.busy = false;
    },
  },
  template: `<div><div class="picture-row" @dragover.prevent="over = true" @dragleave="over = false" @drop.prevent="dropped">
    <span class="tile" :class="{ over }"><img v-if="item.picture" :src="'/picture/' + encodeURIComponent(item.picture)" :alt="'Picture of ' + item.name" :class="{ photo: item.photo }" /><mi-icon v-else name="image" /></span>
    <div v-if="!locked" class="stack">
      <button v-if="camera" type="button" class="btn tonal" :disabled="busy" @click="$refs.camera.click()"><mi-icon name="photo_camera" />Take photo</button>
      <button type="button" class="btn line" :disabled="busy" @click="$refs.file.click()"><mi-icon name="image" />Choose file</button>
      <span class="second">{{ busy ? "Reading the picture …" : "or drop or paste a picture here" }}</span>
      <input ref="file" type="file" hidden accept="image/*" aria-label="Picture file" @change="picked" />
      <input ref="camera" type="file" hidden accept="image/*" capture="environment" aria-label="Camera" @change="picked" />
    </div></div><p v-if="error" class="error" role="alert">{{ error }}</p></div>`,
};
