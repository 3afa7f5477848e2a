/** Draw anew, and leave the focus on what is there again.
 * @param {HTMLElement} host whose elements are known by their data-focus @param {() => void} draw */
export function keepFocus(host, draw) {
  const active = /** @type {HTMLElement | null} */ (document.activeElement);
  const name = host.contains(active) ? active.dataset.focus : undefined;
  draw();
  if (name) /** @type {HTMLElement | null} */ (host.querySelector(`[data-focus="${CSS.escape(name)}"]`))?.focus();
}
