// Puts the parts of the page together: what happens outside makes parts stale, and each asks again in its own time.

import { get } from "./api.js";
import { byId, say } from "./dom.js";
import * as detail from "./detail.js";
import * as failures from "./failures.js";
import * as figures from "./figures.js";
import * as gallery from "./gallery.js";
import * as jobs from "./jobs.js";
import { plural } from "./format.js";
import { listen } from "./live.js";
import { tell } from "./notice.js";
import * as pause from "./pause.js";
import * as pictures from "./pictures.js";
import * as presets from "./presets.js";
import { refresher } from "./refresh.js";
import * as session from "./session.js";
import * as upload from "./upload.js";
import * as watches from "./watches.js";

const quietly = work => async () => {
  try {
    await work();
  } catch (error) {
    if (error.status === undefined) throw error; // a fault of the page; refusals show as the state of the connection
  }
};

let known = false; // the watches and presets, without which no tile knows its picture

async function status() {
  show(await get("api/status"));
}

async function kinds() {
  presets.show(await get("api/image-processing/presets"));
}

async function images() {
  if (!known) await Promise.all([status(), kinds()]);
  known = true;
  await gallery.refresh();
}

const stale = {
  status: refresher(quietly(status), 1000),
  presets: refresher(quietly(kinds), 1000),
  images: refresher(quietly(images), 1000),
  failures: refresher(quietly(failures.refresh), 1000),
  jobs: refresher(quietly(jobs.refresh), 5000), // orders tell each step; rescans do not
};
const everything = () => { for (const ask of Object.values(stale)) ask(); };

function show(status) {
  for (const part of [pictures, gallery, upload]) part.know(status.watches);
  pause.know(status);
  figures.show(status);
  watches.show(status.watches);
  if (failures.total(status.watches.reduce((sum, watch) => sum + watch.failed, 0))) stale.failures();
}

function happened(event) {
  if (event.event === "lost") {
    tell(`${plural(event.count, "event")} came too fast for this page; it has asked again.`);
    everything();
  }
  if (event.topic === "state") { show(event); stale.jobs(); }
  if (event.topic === "jobs") jobs.happened(event);
  if (event.topic === "pipeline") {
    if (gallery.concerns(event)) stale.images();
    detail.changed(event.source_id);
    if (event.event === "failed") stale.failures();
  }
}

/** `live` or `reconnecting`; without the line the state is asked for now and then, as long as the daemon answers. */
function connection(state) {
  byId("link").dataset.state = state;
  say(byId("link-text"), state);
  if (state !== "live") stale.status();
}

for (const part of [detail, jobs, session, upload]) part.start();
gallery.start(quietly(images));
failures.start(() => { stale.failures(); stale.images(); });
pause.start(stale.status);
listen({ event: happened, state: connection, missed: everything });
for (const part of ["images", "failures", "jobs"]) stale[part]();
