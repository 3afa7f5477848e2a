/**
 * The list of all runs: how it is searched, and kept up by what is heard of the one being trained.
 *
 * @typedef {{run: string, name: string, base: string, family: string, changed: number,
 *   state: "training" | "finished" | "stopped", step: number, total_steps: number, epochs: number, pictures: number,
 *   verdict: {kind: string, since_epoch: number | null, best_epoch: number | null} | null,
 *   thumbnail: {epoch: number, number: number} | null, megabytes: number, has_workflow: boolean}} ListedRun
 * @typedef {import("./record.mjs").RunEvent} RunEvent
 */

/** The runs that contain every word, in their name, base, family or what is said of them.
 * @param {ListedRun[]} runs @param {string} text @param {(run: ListedRun) => string} said further words of a run */
export function search(runs, text, said) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return runs.filter((run) => {
    const all = [run.run, run.base, run.family, said(run)].join(" ").toLowerCase();
    return words.every((word) => all.includes(word));
  });
}

/** @param {ListedRun[]} runs @param {RunEvent} event
 * @returns {ListedRun[] | null} with the run further on; null where the server has more to tell than the event */
export function heard(runs, event) {
  const known = runs.find(({ run }) => run === event.run);
  const isOnTheWay = known?.state === "training" && event.state === "training";
  if (!isOnTheWay || event.changed.length > 0) return null;
  return runs.map((run) => (run === known ? { ...run, step: event.step, total_steps: event.total_steps } : run));
}

/** The name of a run in a list; with its id where another one has the same name.
 * @param {ListedRun} run @param {ListedRun[]} all @returns {string} */
export function optionName({ run, name }, all) {
  const isAlone = all.filter((one) => one.name === name).length < 2;
  return isAlone ? name : run;
}
