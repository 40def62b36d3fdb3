// Adding images: dropped onto the page or chosen by the button, sent one after another, told in one place.

import { Refused, problemOf } from "./api.js";
import { byId, make, say } from "./dom.js";
import { count, plural } from "./format.js";
import { tell } from "./notice.js";

const LISTED = 20; // refusals by name; more are only counted

let watches = [];
let batch = null; // {files, done, refused, request}: what is being sent
let early = []; // chosen before the page knew any watch

export const know = found => {
  watches = found;
  if (target()) add(early.splice(0));
};

/** Where images go: the watch that is chosen above the grid, or the first. */
const target = () => watches.find(watch => watch.name === byId("by-watch").value) ?? watches[0];

export function start() {
  byId("add").addEventListener("click", () => byId("files").click());
  byId("files").addEventListener("change", event => { add([...event.target.files]); event.target.value = ""; });
  byId("uploads-stop").addEventListener("click", stop);
  byId("uploads-close").addEventListener("click", () => { byId("uploads").hidden = true; });
  startDropping();
}

function startDropping() {
  const carriesFiles = event => event.dataTransfer?.types.includes("Files") && target();
  let depth = 0; // dragenter and dragleave come for each element on the way
  const over = n => { depth = n; byId("drop").hidden = n === 0; };
  addEventListener("dragenter", event => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    say(byId("drop-watch"), target().name);
    over(depth + 1);
  });
  addEventListener("dragover", event => carriesFiles(event) && event.preventDefault());
  addEventListener("dragleave", event => carriesFiles(event) && over(Math.max(0, depth - 1)));
  addEventListener("drop", event => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    over(0);
    const folders = [...event.dataTransfer.items].filter(item => item.webkitGetAsEntry()?.isDirectory);
    if (folders.length) return tell("Folders cannot be added whole: open them, and drop the images in them.", true);
    add([...event.dataTransfer.files]);
  });
}

function add(files) {
  if (!target()) return void early.push(...files);
  const waiting = files.map(file => ({ file, watch: target().name }));
  if (batch) batch.files.push(...waiting);
  else if (waiting.length) run(waiting);
}

async function run(files) {
  batch = { files, done: 0, refused: 0, request: null };
  byId("uploads-failed").replaceChildren();
  byId("uploads").hidden = byId("uploads-stop").hidden = false;
  byId("uploads-close").hidden = true;
  for (; batch.done < batch.files.length; batch.done += 1) {
    const { file, watch } = batch.files[batch.done];
    try {
      await send(file, watch);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refused(file, error);
    }
  }
  finish();
}

/** One file; fetch would not tell how far it is. */
function send(file, watch) {
  return new Promise((resolve, reject) => {
    const request = batch.request = new XMLHttpRequest();
    const form = new FormData();
    form.append("watch", watch);
    form.append("files", file, file.name);
    request.upload.onprogress = event => show(file.name, event.loaded / Math.max(event.total, 1));
    request.onload = () => (request.status < 300 ? resolve() : reject(problemOf(request.status, request.responseText)));
    request.onerror = () => reject(new Refused(0, "the daemon does not answer"));
    request.onabort = () => reject(new Refused(0, "stopped"));
    request.open("POST", "api/image-processing/uploads");
    request.send(form);
    show(file.name, 0);
  });
}

function show(name, share) {
  say(byId("uploads-text"), `${count(batch.done + 1)} of ${count(batch.files.length)} · ${name}`);
  byId("uploads-bar").value = (batch.done + share) / batch.files.length;
}

function refused(file, error) {
  batch.refused += 1;
  if (batch.refused <= LISTED) byId("uploads-failed").append(make("li", {}, `${file.name}: ${error.message}`));
  if (error.status === 0) batch.files.length = batch.done + 1; // nobody is there to take the others
}

function stop() {
  batch.files.length = batch.done + 1;
  batch.request.abort();
}

function finish() {
  const { done, refused: not } = batch;
  batch = null;
  const text = `${plural(done - not, "image")} added${not ? `, ${count(not)} not` : ""}.`;
  byId("uploads-stop").hidden = true;
  byId("uploads-bar").value = 1;
  if (not) {
    say(byId("uploads-text"), text);
    byId("uploads-close").hidden = false;
  } else {
    byId("uploads").hidden = true;
    tell(text);
  }
}
