// Pictures of a source in a frame: which rendition, at which address, and what stands there where there is none.

import { encode } from "./api.js";
import { make } from "./dom.js";
import { forLarge, forTile } from "./presets.js";

const INSTEAD = { pending: "waiting", failed: "no preview", skipped: "no preview" };

let wanted = {}; // presets of each watch

export const know = watches => { wanted = Object.fromEntries(watches.map(watch => [watch.name, watch.presets])); };
export const tilePreset = source => forTile(wanted[source.watch] ?? []);
export const largePreset = source => forLarge(wanted[source.watch] ?? []);

/** The address of a rendition. It changes with the source's version, so that a changed image is not shown from memory. */
export const address = (source, preset) =>
  `api/renditions/${encodeURIComponent(source.id)}/${encodeURIComponent(preset)}${encode({ v: source.done_at })}`;

/** Show this rendition in the frame; a picture that is there already stays until it differs. */
export function picture(frame, source, preset, loading) {
  const url = preset && source.state === "done" ? address(source, preset) : "";
  if (frame.dataset.url === url) return;
  frame.dataset.url = url;
  if (!url) return frame.replaceChildren(INSTEAD[source.state] ?? "");
  const image = make("img", { alt: "", loading, decoding: "async", draggable: false });
  image.addEventListener("error", () => frame.dataset.url === url && frame.replaceChildren("no preview"));
  image.src = url;
  frame.replaceChildren(image);
}
