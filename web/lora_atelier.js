/** LoRA Atelier in ComfyUI's page. The only file here that ComfyUI loads by itself: the others end in .mjs. */

import { AutoTagPanel } from "./auto_tag_node.mjs";
import { HealthCard } from "./health_card/panel.mjs";
import { tellErrors, translateLines } from "./host/errors.mjs";
import { chosenNodes } from "./host/graph.mjs";
import { leaveLostNodes } from "./host/node.mjs";
import { giveKeptOutputs, sortOutputs } from "./host/outputs.mjs";
import { addSidebarTab, mirrorSetting, notify, registerExtension } from "./host/page.mjs";
import { fold, paintSockets, widen } from "./node_look.mjs";
import { runsTab } from "./runs/sidebar.mjs";
import { SmartCropPanel } from "./smart_crop_node.mjs";
import { stopAndKeep } from "./stop_and_keep.mjs";
import { TrainAgainPanel } from "./train_again_node.mjs";
import { TrainLoraPanel } from "./train_lora_node.mjs";
import { UsePanel } from "./use_this_one.mjs";
import { say } from "./words.mjs";

const AUTO_TAG = "LoraAtelierAutoTag";
const SMART_CROP = "LoraAtelierSmartCrop";
const TRAIN_LORA = "LoraAtelierTrainLora";
const TRAIN_AGAIN = "LoraAtelierTrainAgain";
const TRAINING = [TRAIN_LORA, TRAIN_AGAIN];

/** What nodes show below their widgets; it is refreshed once a node's values were read from a workflow. */
const PANELS = {
  [AUTO_TAG]: AutoTagPanel, [SMART_CROP]: SmartCropPanel, [TRAIN_LORA]: TrainLoraPanel, [TRAIN_AGAIN]: TrainAgainPanel,
  LoraAtelierLoadDataset: HealthCard, LoraAtelierCheckDataset: HealthCard,
  LoraAtelierEpochSheet: UsePanel, LoraAtelierPreviewSample: UsePanel,
};
/** Nodes that have an editor, and what opening it is called. */
const EDITORS = { [AUTO_TAG]: "node.edit", [SMART_CROP]: "crops.edit" };
const STYLES = [
  "./parts/theme.css",
  "./parts/controls.css",
  "./parts/window.css",
  "./parts/node.css",
  "./tag_editor/tag_editor.css",
  "./crop_editor/crop_editor.css",
  "./health_card/health_card.css",
  "./use_this_one.css",
  "./vendor/uPlot.css",
  "./runs/runs.css",
  "./runs/large_view.css",
  "./runs/sidebar.css",
];

/** @type {WeakMap<object, any>} the panel of each node that has one */
const panels = new WeakMap();

/** @param {any} node */
function equip(node) {
  const Panel = PANELS[node.comfyClass];
  if (Panel) panels.set(node, new Panel(node));
}

function editChosenNode() {
  const nodes = chosenNodes(AUTO_TAG);
  if (nodes.length === 1) panels.get(nodes[0]).edit();
  else notify("warn", say(nodes.length === 0 ? "command.none" : "command.several"));
}

function dress() {
  STYLES.forEach(loadStyle);
  paintSockets();
  tellErrors("LoraAtelier");
  translateLines("LoraAtelier");
  addSidebarTab(runsTab());
}

/** @param {string} path */
function loadStyle(path) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL(path, import.meta.url).href;
  document.head.append(link);
}

sortOutputs("lora_atelier_"); // now: ComfyUI listens only once its extensions are loaded

registerExtension({
  name: "LoraAtelier",
  settings: [
    mirrorSetting(
      say("setting.mirror"),
      ["LoRA Atelier", say("setting.taggers"), say("setting.mirror")],
      say("setting.mirrorHint"),
      say("setting.mirrorOfServer"),
      ["https://huggingface.co", "https://hf-mirror.com"],
    ),
  ],
  commands: [
    { id: "LoraAtelier.EditTags", label: say("command.edit"), icon: "pi pi-tags", function: editChosenNode },
    { id: "LoraAtelier.StopAndKeep", label: say("command.finish"), icon: "pi pi-flag", function: () => stopAndKeep() },
  ],
  setup: dress,
  nodeCreated(node) {
    fold(node);
    equip(node);
    widen(node);
  },
  afterConfigureGraph() {
    leaveLostNodes();
    giveKeptOutputs();
  },
  loadedGraphNode(node) {
    panels.get(node)?.refresh();
  },
  getNodeMenuItems(node) {
    const edit = EDITORS[node.comfyClass];
    if (edit) return [{ content: say(edit), callback: () => panels.get(node).edit() }];
    if (TRAINING.includes(node.comfyClass)) return [{ content: say("run.finish"), callback: () => stopAndKeep() }];
    return [];
  },
});
