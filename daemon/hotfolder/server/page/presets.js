// The presets, and which of them a tile and the large picture use.

import { byId, make } from "./dom.js";

const SHOWABLE = ["jpeg", "png", "webp", "avif"];
const TILE = 280, LARGE = 1000; // pixels of the longer side

let presets = {};

/** Show what /api/image-processing/presets answered. */
export function show(found) {
  presets = found;
  byId("presets").replaceChildren(...Object.entries(found).map(([name, preset]) => make("tr", {},
    make("th", { scope: "row" }, name), make("td", {}, `${preset.width} × ${preset.height}`), make("td", {}, preset.fit),
    make("td", {}, `${preset.format} ${preset.format === "png" ? "" : preset.quality}`))));
}

export const forTile = names => fitting(names, TILE);
export const forLarge = names => fitting(names, LARGE);

/** The smallest of these presets that shows the whole picture with at least so many pixels, or the largest there is. */
function fitting(names, pixels) {
  const usable = names.filter(name => presets[name] && SHOWABLE.includes(presets[name].format));
  const whole = usable.filter(name => ["contain", "pad"].includes(presets[name].fit));
  const sorted = (whole.length ? whole : usable).sort((a, b) => longer(a) - longer(b));
  return sorted.find(name => longer(name) >= pixels) ?? sorted.at(-1) ?? null;
}

const longer = name => Math.max(presets[name].width, presets[name].height);
