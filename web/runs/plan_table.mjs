/** A run's settings: those that are not as they usually are, and behind a fold all of them. */

import { nodeNames } from "../host/server.mjs";
import { make } from "../parts/element.mjs";
import { say } from "../words.mjs";
import { rateText } from "./amounts.mjs";
import { byPart, labelOf, planRows } from "./plan_rows.mjs";
import { Seen } from "./seen.mjs";

/** @typedef {import("./plan_rows.mjs").PlanRow} PlanRow */

const SMALL = 0.01;

export class PlanTable {
  #seen = new Seen();

  constructor() {
    this.element = make("div.la-plan");
  }

  /** @param {any} plan @param {any} defaults */
  async show(plan, defaults) {
    if (!this.#seen.isNews([plan, defaults])) return;
    const nodes = await nodeNames();
    const rows = planRows(plan, defaults);
    const changed = rows.filter(({ isChanged }) => isChanged);
    const all = make("summary", { text: say("view.allSettings", { count: rows.length }) });
    this.element.replaceChildren(
      changed.length > 0 ? table(changed, nodes) : make("p.la-none", { text: say("view.allUsual") }),
      make("details", {}, all, table(rows, nodes)),
    );
  }
}

/** @param {PlanRow[]} rows @param {Record<string, any>} nodes */
function table(rows, nodes) {
  return make("table.la-settings", {}, ...byPart(rows).map(([part, inner]) => group(part, inner, nodes)));
}

function group(part, rows, nodes) {
  const title = make("tr", {}, make("th", { text: say(`planPart.${part || "run"}`), colspan: 2, scope: "rowgroup" }));
  return make("tbody", {}, title, ...rows.map((row) => line(row, nodes)));
}

/** @param {PlanRow} row @param {Record<string, any>} nodes */
function line(row, nodes) {
  const hint = row.isChanged ? say("view.usually", { value: shown(row.usual) }) : undefined;
  return make(
    "tr",
    { "data-changed": row.isChanged, title: hint },
    make("th", { scope: "row", text: labelOf(row, nodes) }),
    make("td", { text: shown(row.value) }),
  );
}

/** @param {any} value @returns {string} */
function shown(value) {
  if (value === null || value === "") return "–";
  if (typeof value === "boolean") return value ? say("view.on") : say("view.off");
  if (Array.isArray(value)) return value.map(shown).join(", ");
  if (typeof value === "number" && value > 0 && value < SMALL) return rateText(value);
  return String(value);
}
