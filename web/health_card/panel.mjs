/** The health report as a card on Load Dataset and Check Dataset: worst first, each with what to do about it and the
 * files it is about. The node remembers where on the server the report of its last run is. */

import { addPanel, after, fitHeight, rememberOutput } from "../host/node.mjs";
import { locale } from "../host/page.mjs";
import { addressOf, getJson } from "../host/server.mjs";
import { make, setAttribute } from "../parts/element.mjs";
import { arithmeticLines } from "../runs/arithmetic.mjs";
import { say } from "../words.mjs";
import { phrase } from "../words/phrases.mjs";
import { worded } from "./findings.mjs";

/** @typedef {import("./findings.mjs").Finding} Finding */

const BOARD = "lora_atelier_health";
const HEIGHT = 216;
const LINE_HEIGHT = 26;
const THUMBNAIL = 256;

export class HealthCard {
  #height = LINE_HEIGHT;
  /** @type {string | null} */
  #shown = null;

  /** @param {any} node that was just made */
  constructor(node) {
    this.node = node;
    const on = { wheel: (event) => event.stopPropagation() };
    this.body = make("div.la-health", { "data-capture-wheel": "true", tabindex: "0", on });
    this.element = make("div.la-node", {}, this.body);
    addPanel(node, "health", this.element, () => this.#height);
    rememberOutput(node, BOARD, () => this.refresh());
    after(node, "onConfigure", () => this.refresh());
    this.#tell(say("health.notRun"));
  }

  /** Show the report of the last run, as far as the server still has it. */
  async refresh() {
    const board = this.node.properties[BOARD] ?? null;
    if (board === null || board === this.#shown) return;
    this.#shown = board;
    try {
      const card = await getJson(pathOf(board));
      if (this.#shown === board) this.#show(card, board);
    } catch (problem) {
      if (this.#shown !== board) return; // another run has ended meanwhile
      this.#shown = null;
      this.#tell(problem.status === 404 ? say("health.notRun") : problem.message);
    }
  }

  #tell(text) {
    this.#fill(LINE_HEIGHT, make("p.la-node-line", { role: "status", text, title: text }));
  }

  #show(card, board) {
    const findings = card.findings.map((/** @type {Finding} */ finding) => findingRow(finding, board));
    const none = make("p.la-health-advice", { text: say("health.nothing") });
    this.#fill(
      HEIGHT,
      make("p.la-health-counts", { role: "status" }, ...countsOf(card)),
      make("p.la-health-advice", { text: sizeOf(card) }),
      card.size ? make("p.la-health-advice", { text: stepsOf(card.size) }) : null,
      ...(findings.length > 0 ? findings : [none]),
    );
  }

  #fill(height, ...parts) {
    this.#height = height;
    this.body.replaceChildren(...parts.filter((part) => part !== null));
    this.element.classList.toggle("la-health-card", height === HEIGHT);
    if (this.node.graph) fitHeight(this.node);
  }
}

/** What is in order, and what is not. */
function countsOf({ ok, to_look_at: toLookAt, repaired, skipped }) {
  const counts = [["ok", ok], ["look", toLookAt], ["repaired", repaired], ["skipped", skipped]];
  return counts
    .filter(([name, count]) => name === "ok" || count > 0)
    .map(([name, count]) => make(`span.la-health-${name}`, { text: say(`healthCount.${name}`, { count }) }));
}

function sizeOf({ samples, pictures, regularisation_pictures: regularisation }) {
  const size = say("health.samples", { samples, count: pictures });
  return regularisation > 0 ? `${size} · ${say("health.regularisation", { count: regularisation })}` : size;
}

/** How many steps a training takes, as Check Dataset counted them. */
function stepsOf(size) {
  return arithmeticLines({ size, held_out: 0, seconds: null }, say)[0];
}

function findingRow(finding, board) {
  const { text, advice } = worded(finding, locale());
  const head = [
    make("span.la-health-level", { text: say(`healthLevel.${finding.level}`) }),
    make("span.la-health-text", { text, title: finding.text }),
    make("p.la-health-advice", { text: advice }),
  ];
  const attributes = { "data-level": finding.level };
  if (finding.files.length === 0) return make("div.la-health-finding.la-health-head", attributes, ...head);
  const row = make("details.la-health-finding", attributes, make("summary.la-health-head", {}, ...head));
  // Hundreds of thumbnails are made only where somebody looks.
  row.addEventListener("toggle", () => row.append(filesOf(finding, board)), { once: true });
  return row;
}

function filesOf({ files, more_files: more }, board) {
  const rows = files.map(({ name, label: english, picture }) => {
    const label = phrase(english, locale());
    return make(
      "li.la-health-file",
      { title: `${name}: ${label}` },
      picture === null ? make("span.la-health-nothing") : thumbnail(board, picture, name),
      make("span.la-health-name", { text: name }),
      make("span.la-health-label", { text: label }),
    );
  });
  const rest = more > 0 ? make("li.la-health-advice", { text: say("health.moreFiles", { count: more }) }) : null;
  return make("ul.la-health-files", {}, ...rows, rest);
}

/** Small; a press makes it large, another one small again. */
function thumbnail(board, picture, name) {
  const src = addressOf(`${pathOf(board)}/thumbnail/${picture}?size=${THUMBNAIL}`);
  const image = make("img", { src, alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  const turn = () => setAttribute(button, "aria-pressed", String(button.classList.toggle("la-large")));
  const label = `${say("health.enlarge")}: ${name}`;
  const button = make("button.la-health-thumb", { "aria-label": label, "aria-pressed": "false", on: { click: turn } }, image);
  return button;
}

function pathOf(board) {
  return `/lora_atelier/health/${encodeURIComponent(board)}`;
}
