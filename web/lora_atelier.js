/** LoRA Atelier in ComfyUI's page. The only file here that ComfyUI loads by itself: the others end in .mjs. */

import * as autoTag from "./auto_tag_node.mjs";
import * as healthCard from "./health_card/panel.mjs";
import { addSidebarTab, chosenNodes, mirrorSetting, notify, registerExtension } from "./host.mjs";
import { fold, paintSockets, widen } from "./node_look.mjs";
import { runsTab } from "./runs/sidebar.mjs";
import * as smartCrop from "./smart_crop_node.mjs";
import { stopAndKeep } from "./stop_and_keep.mjs";
import * as trainAgain from "./train_again_node.mjs";
import * as trainLora from "./train_lora_node.mjs";
import * as useThisOne from "./use_this_one.mjs";
import { say } from "./words.mjs";

const AUTO_TAG = "LoraAtelierAutoTag";
const SMART_CROP = "LoraAtelierSmartCrop";
const TRAIN_LORA = "LoraAtelierTrainLora";
const TRAIN_AGAIN = "LoraAtelierTrainAgain";
const TRAINING = [TRAIN_LORA, TRAIN_AGAIN];

/** What nodes show below their widgets. */
const PANELS = {
  [AUTO_TAG]: autoTag, [SMART_CROP]: smartCrop, [TRAIN_LORA]: trainLora, [TRAIN_AGAIN]: trainAgain,
  LoraAtelierLoadDataset: healthCard, LoraAtelierCheckDataset: healthCard,
  LoraAtelierEpochSheet: useThisOne, LoraAtelierPreviewSample: useThisOne,
};
const STYLES = [
  "./tag_editor/tag_editor.css",
  "./crop_editor/crop_editor.css",
  "./health_card/health_card.css",
  "./use_this_one.css",
  "./vendor/uPlot.css",
  "./runs/runs.css",
  "./runs/large_view.css",
  "./runs/sidebar.css",
];

function editChosenNode() {
  const nodes = chosenNodes(AUTO_TAG);
  if (nodes.length === 1) autoTag.editTags(nodes[0]);
  else notify("warn", say(nodes.length === 0 ? "command.none" : "command.several"));
}

function dress() {
  STYLES.forEach(loadStyle);
  paintSockets();
  addSidebarTab(runsTab());
}

/** @param {string} path */
function loadStyle(path) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL(path, import.meta.url).href;
  document.head.append(link);
}

registerExtension({
  name: "LoraAtelier",
  settings: [
    mirrorSetting(
      say("setting.mirror"),
      ["LoRA Atelier", say("setting.taggers"), say("setting.mirror")],
      say("setting.mirrorHint"),
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
    PANELS[node.comfyClass]?.equip(node);
    widen(node);
  },
  loadedGraphNode(node) {
    PANELS[node.comfyClass]?.refresh(node);
  },
  getNodeMenuItems(node) {
    if (node.comfyClass === AUTO_TAG) return [{ content: say("node.edit"), callback: () => autoTag.editTags(node) }];
    if (node.comfyClass === SMART_CROP) {
      return [{ content: say("crops.edit"), callback: () => smartCrop.editCrops(node) }];
    }
    if (TRAINING.includes(node.comfyClass)) return [{ content: say("run.finish"), callback: () => stopAndKeep() }];
    return [];
  },
});
