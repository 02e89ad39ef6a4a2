// The frame of all pages: who this is, the tabs, the state of all links, the line at the foot.
import { ago } from "./words.js";
import { appearance, go, hush, store } from "./store.js";
import { Dev, MiIcon, Txt } from "./parts.js";
import { ListPage } from "./list.js";
import { ItemSheet } from "./item.js";
import { BrowserPage } from "./browser.js";
import { ListenerPage } from "./listener.js";
import { ActivityPage } from "./activity.js";
import { SettingsPage } from "./settings.js";
import { Welcome } from "./welcome.js";

const TABS = [
  { path: "/", title: "List", icon: "shopping_basket" },
  { path: "/browser", title: "Browser", icon: "travel_explore" },
  { path: "/listener", title: "Listener", icon: "sensors" },
  { path: "/activity", title: "Activity", icon: "history" },
  { path: "/settings", title: "Settings", icon: "tune" },
];
const PAGES = {
  "/": "ListPage",
  "/browser": "BrowserPage",
  "/listener": "ListenerPage",
  "/activity": "ActivityPage",
  "/settings": "SettingsPage",
};

const Pill = {
  components: { Dev, MiIcon },
  props: { pill: Object },
  methods: { go },
  template: `<a class="pill" href="/browser" @click.prevent="go('/browser')" :title="pill.more">
    <span class="devs" v-if="pill.devices.length"><dev v-for="(each, n) in pill.devices.slice(0, 3)" :key="n" :device="each" size="tiny" /></span>
    <mi-icon :name="pill.icon" :class="'t-' + pill.tone" />{{ pill.text }}</a>`,
};

export const Shell = {
  components: {
    Dev, MiIcon, Txt, Pill, ListPage, ItemSheet, BrowserPage, ListenerPage, ActivityPage, SettingsPage, Welcome,
  },
  data: () => ({ store, TABS, framed: window.parent !== window }),
  created() {
    appearance();
  },
  computed: {
    state: () => store.state,
    more() {
      const { more, at } = this.state.pill;
      return more || (at ? `Last change ${ago(at, store.now)}` : "");
    },
    item: () => (store.path.startsWith("/item/") ? decodeURIComponent(store.path.slice(6)) : null),
    path() {
      return this.item ? "/" : store.path;
    },
    page() {
      return PAGES[this.path] || "ListPage";
    },
    title() {
      const tab = TABS.find((each) => each.path === this.path) || TABS[0];
      return this.state.screen === "app" ? `${tab.title} · ${this.state.me.name}` : "Inventory";
    },
  },
  watch: {
    title: {
      immediate: true,
      handler(title) {
        document.title = title;
      },
    },
  },
  methods: {
    go,
    hush,
    run(action) {
      hush();
      action.run();
    },
  },
  template: `
  <welcome v-if="state.screen !== 'app'" />
  <div v-else class="shell" :class="{ framed }">
    <nav class="rail" aria-label="Pages">
      <div class="me"><dev :device="state.me" size="big" /><div class="grow"><div class="who cut"><txt :of="state.me.name" /></div>
        <div class="least cut"><txt :of="state.me.user" /></div></div></div>
      <a v-for="tab in TABS" :key="tab.path" class="tab" :href="tab.path" :aria-current="path === tab.path ? 'page' : null"
        @click.prevent="go(tab.path)"><mi-icon :name="tab.icon" />{{ tab.title }}
        <span v-if="tab.path === '/activity' && state.badge" class="badge"><span class="hidden-text">to decide: </span>{{ state.badge }}</span></a>
      <a class="foot" href="/browser" @click.prevent="go('/browser')">
        <span class="side"><span class="devs grow"><dev v-for="(each, n) in state.pill.devices.slice(0, 5)" :key="n" :device="each" size="tiny" /></span>
        <mi-icon :name="state.pill.icon" :class="'t-' + state.pill.tone" /></span>
        <span class="strong">{{ state.pill.long }}</span><span class="least">{{ more }}</span></a>
    </nav>
    <header class="topbar"><dev :device="state.me" /><div class="grow"><div class="who cut"><txt :of="state.me.name" /></div>
      <div class="least cut"><txt :of="state.me.user" /></div></div><pill :pill="state.pill" /></header>
    <div v-if="state.banner" class="banner" role="status"><mi-icon name="lock_open" /><span class="grow">{{ state.banner }}</span>
      <a class="btn" href="/listener" @click.prevent="go('/listener')">Turn encryption on</a></div>
    <component :is="page" />
    <item-sheet v-if="item && state.items[item]" :key="item" :id="item" />
    <nav class="tabs" aria-label="Pages on a small screen">
      <a v-for="tab in TABS" :key="tab.path" :href="tab.path" :aria-current="path === tab.path ? 'page' : null"
        @click.prevent="go(tab.path)"><span class="spot"><mi-icon :name="tab.icon" /></span>{{ tab.title }}
        <span v-if="tab.path === '/activity' && state.badge" class="badge"><span class="hidden-text">to decide: </span>{{ state.badge }}</span></a>
    </nav>
  </div>
  <div v-if="store.toast" class="toast" role="status"><span class="grow">{{ store.toast.text }}</span>
    <button v-if="store.toast.action" type="button" class="btn" @click="run(store.toast.action)">{{ store.toast.action.label }}</button>
    <button type="button" class="btn square" aria-label="Close this message" @click="hush"><mi-icon name="close" /></button></div>
  <div class="hidden-text" aria-live="polite">{{ store.spoken }}</div>`,
};
