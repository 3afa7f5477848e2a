/**
 * A node with what flows into it, as the graph would be run: through reroutes, bypassed nodes, and into and out of
 * subgraphs. Nothing is run, and no widget is asked to prepare its value.
 *
 * @typedef {import("./upstream.mjs").Step} Step
 * @typedef {{node: any, owners: any[]}} Place a node, and the subgraph nodes that lead to it from the outermost in
 */

const [MUTED, BYPASSED] = [2, 4];
const DEEPEST = 64;

/** @param {Place} place @returns {Step} */
export function stepAt(place) {
  return stepOf(place, new Map(), 0);
}

/** @param {Place} place @param {Map<string, Step>} known by the node and where it is: many paths lead through the same
 * nodes @returns {Step} */
function stepOf(place, known, depth) {
  const { node, owners } = place;
  const key = [...owners, node].map(({ id }) => id).join(":");
  const found = known.get(key);
  if (found) return found;
  const links = (node.inputs ?? []).map((input, index) => ({ input, index })).filter(({ input }) => input.link != null);
  const sockets = links.filter(({ input }) => !input.widget);
  const before = (/** @type {number} */ index) => {
    const origin = depth < DEEPEST ? originOf(place, index) : null;
    return origin && stepOf(origin, known, depth + 1);
  };
  const inputs = sockets.map(({ input, index }) => /** @type {const} */ ([input.name, before(index)]));
  const step = {
    comfyClass: node.comfyClass ?? "",
    values: valuesOf(place, links),
    inputs: new Map(inputs.filter(([, given]) => given !== undefined)),
  };
  known.set(key, step);
  return step;
}

/** @param {Place} place @returns {any[]} all nodes that something flows to it from, each once */
export function nodesBefore(place) {
  const places = [place];
  for (const one of places) {
    for (const index of (one.node.inputs ?? []).keys()) {
      const origin = originOf(one, index);
      if (origin && !places.some(({ node }) => node === origin.node)) places.push(origin);
    }
  }
  return places.slice(1).map(({ node }) => node);
}

/** @returns {Record<string, any>} undefined where a link gives a value that only a run can tell */
function valuesOf(place, links) {
  const isSent = (/** @type {any} */ widget) => widget.serialize !== false && widget.options?.serialize !== false;
  const values = (place.node.widgets ?? []).filter(isSent).map((/** @type {any} */ widget) => {
    const link = links.find(({ input }) => input.widget?.name === widget.name);
    return [widget.name, link ? givenValue(place, link.index) : widget.value];
  });
  return Object.fromEntries(values);
}

/** The value of a node that is nothing but a value, such as a primitive. */
function givenValue(place, index) {
  const { node, owners } = place;
  const link = node.graph.getLink(node.inputs[index].link);
  const owner = owners.at(-1);
  if (owner && link?.originIsIoNode && owner.inputs[link.origin_slot]?.link == null) {
    const { name } = owner.inputs[link.origin_slot] ?? {};
    return owner.widgets?.find((/** @type {any} */ widget) => widget.name === name)?.value;
  }
  const giver = originOf(place, index)?.node;
  const isPlain = giver && !giver.inputs?.some((/** @type {any} */ input) => input.link != null);
  return isPlain ? giver.widgets?.find((/** @type {any} */ widget) => widget.name === "value")?.value : undefined;
}

/** @param {Place} place @param {number} index of an input
 * @returns {Place | null | undefined} null where it cannot be told, undefined where ComfyUI sends nothing */
function originOf({ node, owners }, index, depth = 0) {
  const input = node.inputs?.[index];
  if (input?.link == null) return undefined;
  const link = node.graph.getLink(input.link);
  if (!link || depth > DEEPEST) return null;
  if (!link.originIsIoNode) {
    return sourceAt({ node: node.graph.getNodeById(link.origin_id), owners }, link.origin_slot, depth);
  }
  const outer = owners.at(-1);
  return outer ? originOf({ node: outer, owners: owners.slice(0, -1) }, link.origin_slot, depth + 1) : null;
}

/** What really gives the output of a node; null and undefined as above. */
function sourceAt({ node, owners }, slot, depth) {
  if (!node || depth > DEEPEST) return null;
  if (node.mode === MUTED) return undefined;
  if (node.mode === BYPASSED) {
    const { type } = node.outputs[slot];
    const fits = (/** @type {any} */ input) => input?.type === type;
    const same = fits(node.inputs[slot]) ? slot : node.inputs.findIndex(fits);
    return same < 0 ? undefined : originOf({ node, owners }, same, depth + 1);
  }
  if (node.isSubgraphNode?.()) {
    const [link] = node.subgraph.outputNode.slots[slot].getLinks();
    if (!link) return undefined;
    if (link.originIsIoNode) return null;
    const inner = { node: node.subgraph.getNodeById(link.origin_id), owners: [...owners, node] };
    return sourceAt(inner, link.origin_slot, depth + 1);
  }
  if (node.isVirtualNode && node.inputs?.length) return originOf({ node, owners }, 0, depth + 1);
  return { node, owners };
}
