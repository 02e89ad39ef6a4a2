// What the component that NiceGUI mounts is made of.
export { answer, connect, patch, say } from "./store.js";
export { Shell } from "./shell.js";
