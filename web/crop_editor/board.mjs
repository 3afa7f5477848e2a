/**
 * What Smart Crop left for the editor on the server: the windows that one run chose by itself.
 *
 * @typedef {import("./shapes.mjs").Size} Size
 * @typedef {import("./windows.mjs").Window} Window
 *
 * @typedef {object} CroppedPicture
 * @property {string} id
 * @property {string} key Its name in the overrides.
 * @property {string} path The end of its path.
 * @property {string} name
 * @property {number} width in pixels, upright
 * @property {number} height
 * @property {Window} window It may reach beyond the picture, which is then padded.
 * @property {Size} shape that it is trained at
 * @property {string} method What chose the window.
 * @property {number} subject_kept from 0 to 1
 * @property {boolean} cuts_subject
 *
 * @typedef {object} CropContent
 * @property {Size[]} shapes
 * @property {number} step
 * @property {boolean} enlarge
 * @property {CroppedPicture[]} pictures
 */

import { addressOf, getJson } from "../host/server.mjs";

export class CropBoard {
  #path;

  /** @param {string} name */
  constructor(name) {
    this.#path = `/lora_atelier/crops/${encodeURIComponent(name)}`;
  }

  /** @returns {Promise<CropContent>} */
  read() {
    return getJson(this.#path);
  }

  /** @param {string} id @param {number} size of the longer side, in pixels */
  thumbnail(id, size) {
    return addressOf(`${this.#path}/thumbnail/${encodeURIComponent(id)}?size=${size}`);
  }
}
