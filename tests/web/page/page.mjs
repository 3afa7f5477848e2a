/** ComfyUI's page for modules that are imported after this one. */

import { register } from "node:module";

register("./hooks.mjs", import.meta.url);

export * from "./stand_ins.mjs";
