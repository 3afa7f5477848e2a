import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

const theme = readFileSync(new URL("../../web/parts/theme.css", import.meta.url), "utf8");

/** Background and text of ComfyUI's own palettes, and of the nodes of those that draw them in another colour. */
const PALETTES = {
  dark: ["#171718", "#ffffff"], arc: ["#242730", "#ffffff"], nord: ["#13171d", "#e5eaf0"],
  light: ["#ffffff", "#222222"], solarized: ["#073642", "#fdf6e3"], github: ["#161b22", "#e5eaf0"],
  "a dark node": ["#353535", "#ffffff"], "a light node": ["#f5f5f5", "#222222"],
};
const READABLE = 4.5;

const ofHex = (/** @type {string} */ text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16) / 255);
const mix = (one, share, other) => one.map((value, at) => share * value + (1 - share) * other[at]);

function ofHsl(hue, saturation, lightness) {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((place) => {
    const at = (place + hue / 30) % 12;
    return lightness - reach * Math.max(-1, Math.min(at - 3, 9 - at, 1));
  });
}

function luminance(colour) {
  const [red, green, blue] = colour.map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const tones = [...theme.matchAll(/--la-(\w+): hsl\((\d+) (\d+)% (\d+)%\);/g)].map(([, name, hue, strength, light]) => ({
  name,
  tone: ofHsl(Number(hue), Number(strength) / 100, Number(light) / 100),
  share: Number(new RegExp(`--la-${name}-text: .*var\\(--la-${name}\\) (\\d+)%, var\\(--la-fg\\)`).exec(theme)[1]) / 100,
}));

for (const [palette, [background, foreground]] of Object.entries(PALETTES)) {
  test(`text in every tone can be read in ${palette}`, () => {
    assert.deepEqual(tones.map(({ name }) => name), ["good", "warn", "bad", "info"]);
    for (const { name, tone, share } of tones) {
      const found = contrast(mix(tone, share, ofHex(foreground)), ofHex(background));
      assert.ok(found >= READABLE, `${name}: ${found.toFixed(1)}`);
    }
  });

  test(`muted text can be read in ${palette}`, () => {
    const share = Number(/--la-muted: .*var\(--la-fg\) (\d+)%/.exec(theme)[1]) / 100;
    const found = contrast(mix(ofHex(foreground), share, ofHex(background)), ofHex(background));
    assert.ok(found >= READABLE, found.toFixed(1));
  });
}
