/** LoRA Atelier in ComfyUI's page. The only file here that ComfyUI loads by itself: the others end in .mjs. */

import { editTags, equip, refresh } from "./auto_tag_node.mjs";
import { chosenNodes, mirrorSetting, notify, registerExtension } from "./host.mjs";
import { equip as equipTrainLora, refresh as refreshTrainLora } from "./train_lora_node.mjs";
import { stopAndKeep } from "./stop_and_keep.mjs";
import { say } from "./words.mjs";

const AUTO_TAG = "LoraAtelierAutoTag";
const TRAIN_LORA = "LoraAtelierTrainLora";
const TRAINING = [TRAIN_LORA, "LoraAtelierTrainAgain"];

function editChosenNode() {
  const nodes = chosenNodes(AUTO_TAG);
  if (nodes.length === 1) editTags(nodes[0]);
  else notify("warn", say(nodes.length === 0 ? "command.none" : "command.several"));
}

function loadStyle() {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = new URL("./tag_editor/tag_editor.css", import.meta.url).href;
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
    { id: "LoraAtelier.StopAndKeep", label: say("command.finish"), icon: "pi pi-flag", function: stopAndKeep },
  ],
  setup: loadStyle,
  nodeCreated(node) {
    if (node.comfyClass === AUTO_TAG) equip(node);
    if (node.comfyClass === TRAIN_LORA) equipTrainLora(node);
  },
  loadedGraphNode(node) {
    if (node.comfyClass === AUTO_TAG) refresh(node);
    if (node.comfyClass === TRAIN_LORA) refreshTrainLora(node);
  },
  getNodeMenuItems(node) {
    if (node.comfyClass === AUTO_TAG) return [{ content: say("node.edit"), callback: () => editTags(node) }];
    if (TRAINING.includes(node.comfyClass)) return [{ content: say("run.finish"), callback: stopAndKeep }];
    return [];
  },
});
