// First run and log in.
import { act, go, store } from "./store.js";
import { Chip, Dev, DialogBox, LookPicker, MiIcon, Txt } from "./parts.js";

const PRODUCE = ["apples", "carrots", "spinach", "plums", "corn", "beets", "tomatoes", "broccoli", "cherries", "pumpkins", "leeks", "lettuce", "grapes", "radishes", "peppers", "pears"];

export const Welcome = {
  components: { Chip, Dev, DialogBox, LookPicker, MiIcon, Txt },
  data() {
    const { me, screen } = store.state;
    return {
      store, PRODUCE, first: screen === "first", name: me.name, icon: me.icon, colour: me.colour, user: me.user || "", password: "",
      start: null, address: "", looking: false, busy: "", error: "", words: null,
    };
  },
  computed: {
    nearby: () => store.state.nearby || [],
    chosen() {
      return this.start || (this.nearby.length ? "join" : "sample");
    },
    button() {
      if (!this.first) return "Log in";
      return this.chosen === "join" ? "Log in and join" : "Log in and start";
    },
  },
  mounted() {
    (this.first || !this.user ? this.$refs[this.first ? "name" : "user"] : this.$refs.password).focus();
  },
  methods: {
    /** Nobody who fills in the form has it changed under the hands by a device that shows up. */
    settle() {
      this.start = this.chosen;
    },
    async log_in() {
      this.error = "";
      this.busy = this.first ? "Making this device's key …" : "Checking …";
      const device = this.first ? { name: this.name, icon: this.icon, colour: this.colour, start: this.chosen, address: this.address } : {};
      try {
        await act("log_in", { user: this.user, password: this.password, ...device });
        go(device.start === "join" ? "/browser" : "/");
      } catch (sentence) {
        this.error = String(sentence);
        this.password = "";
        this.$refs.password.focus();
      }
      this.busy = "";
    },
  },
  template: `<div class="welcome-page"><div class="produce" aria-hidden="true"><span v-for="each in PRODUCE" :key="each" class="tile" :style="first ? '' : ''">
      <img :src="'/assets/produce/' + each + '.svg'" alt="" /></span></div>
    <div class="welcome"><h1>{{ first ? "One list on every device" : "Welcome back" }}</h1>
    <p class="second" style="font-size:16px;line-height:24px">{{ first ? "Changes travel straight between your devices. No account, no server." : "Log in to open your list on " + store.state.me.name + "." }}</p>
    <form novalidate @submit.prevent="log_in">
      <div v-if="first"><label class="label" for="device-name">Name of this device</label><div class="side" style="gap:8px">
        <button type="button" aria-label="Icon and colour of this device" @click="looking = true"><dev :device="{ icon, colour }" size="big" /></button>
        <input id="device-name" ref="name" class="field" v-model="name" maxlength="40" autocomplete="off" /></div></div>
      <div class="two"><div class="labelled"><label class="label" for="user">User</label>
          <input id="user" ref="user" class="field" v-model="user" maxlength="120" autocomplete="username" autocapitalize="none" spellcheck="false" @input="settle" /></div>
        <div class="labelled"><label class="label" for="password">Password</label>
          <input id="password" ref="password" class="field" type="password" v-model="password" maxlength="200" autocomplete="current-password" @input="settle" /></div></div>
      <p v-if="store.state.founding" class="second" style="margin-top:-8px">The first user of this device: the password that you type here is the one from now on.</p>
      <fieldset v-if="first"><legend class="label" style="margin-bottom:6px">Start with</legend>
        <label class="choice"><input type="radio" name="start" value="join" :checked="chosen === 'join'" @click="start = 'join'" />
          <span class="grow"><span class="strong">The inventory of another device</span>
            <span class="second">{{ nearby.length ? "Found nearby: " + nearby.map((each) => each.name).join(", ") : "No device nearby yet. Open the Listener there, or type its address." }}</span></span>
          <span class="devs"><dev v-for="(each, n) in nearby.slice(0, 3)" :key="n" :device="each" size="tiny" /></span></label>
        <label class="choice"><input type="radio" name="start" value="sample" :checked="chosen === 'sample'" @click="start = 'sample'" />
          <span class="grow"><span class="strong">The sample list</span><span class="second">42 kinds of fruit and vegetables</span></span></label>
        <label class="choice"><input type="radio" name="start" value="empty" :checked="chosen === 'empty'" @click="start = 'empty'" />
          <span class="grow"><span class="strong">An empty list</span></span></label>
        <label v-if="chosen === 'join' && (!nearby.length || address)" class="labelled" style="display:block;margin-top:12px"><span class="label">Address</span>
          <input class="field" v-model="address" placeholder="192.168.1.7:4984" maxlength="300" autocomplete="off" /></label></fieldset>
      <p v-if="error" class="note s-bad" role="alert">{{ error }}</p>
      <button type="submit" class="btn main wide" :disabled="!!busy || !user || !password">{{ busy || button }}</button>
    </form></div>
    <dialog-box v-if="looking" label="Icon and colour" @close="looking = false"><h2>How others see this device</h2>
      <look-picker :icon="icon" :colour="colour" style="margin-top:12px" @icon="icon = $event" @colour="colour = $event" />
      <div class="actions"><button type="button" class="btn main" @click="looking = false">Done</button></div></dialog-box></div>`,
};
