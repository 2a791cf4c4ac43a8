// Examples of each class, then a clip or the camera, and the answer with where the model looks.

import * as camera from "./camera.js";

const get = (id) => document.getElementById(id);
const MOST_CLIPS = 6;
const MOST_CLASSES = 24;
const OF_MORE = 6; // of more classes so many are shown, and the others are found by name
const NO_EXAMPLES = "Add examples of two classes first.";

let sets = [];
let extra = []; // classes that were added here: the last, and shown however many there are
let watching = false;
let token = sessionStorage.getItem("token") || "";

async function ask(address, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await fetch(address, { ...options, headers });
  } catch {
    throw new Error("The server does not answer. Is it still running?");
  }
  if (answer.status === 401) {
    await askForToken();
    return ask(address, options);
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    const words = typeof said.error === "string" ? `${said.error}. ${said.next || ""}` : `The server said ${answer.status}.`;
    throw new Error(words.charAt(0).toUpperCase() + words.slice(1));
  }
  return answer;
}

function askForToken() {
  get("token").value = "";
  get("ask").showModal();
  return new Promise((done) => {
    get("ask").onclose = () => {
      token = get("token").value;
      sessionStorage.setItem("token", token);
      done();
    };
  });
}

function say(where, words = "", bad = false) {
  get(where).textContent = words;
  get(where).classList.toggle("bad", bad);
}

// Runs what a button asks for; what goes wrong is said in its section.
async function attempt(where, work) {
  try {
    await work();
  } catch (error) {
    say(where, error.message, true);
  }
}

const support = () => get("support").value.trim();
const query = (words) => new URLSearchParams(words).toString();
const place = (words) => `supports/${encodeURIComponent(support())}?${query(words)}`;

async function refresh() {
  const told = await (await ask("supports")).json();
  sets = told.supports;
  get("folder").textContent = `${told.folder}/${support() || "…"}`;
  get("supports").replaceChildren(...sets.map((each) => Object.assign(document.createElement("option"), { value: each.name })));
  show();
}

function show() {
  const set = sets.find((each) => each.name === support());
  const classes = set ? set.classes : {};
  const others = Object.keys(classes).filter((label) => !extra.includes(label));
  const wanted = get("find").value.trim().toLowerCase();
  const found = others.filter((label) => label.toLowerCase().includes(wanted));
  const most = others.length > MOST_CLASSES ? OF_MORE : MOST_CLASSES;
  const shown = [...found.slice(0, most), ...extra];
  seen.disconnect();
  get("classes").replaceChildren(...shown.map((label) => card(label, classes[label] || [])));
  get("finding").hidden = most === MOST_CLASSES;
  get("found").textContent = `${Math.min(found.length, most)} of ${others.length} classes are shown.`;
  if (set && !others.length && !extra.length) say("examples-said", "A saved support: its examples are kept as numbers alone.");
}

function card(label, clips) {
  const item = get("class").content.firstElementChild.cloneNode(true);
  item.querySelector("h3").textContent = `${label} (${clips.length})`;
  const list = item.querySelector(".clips");
  list.append(...clips.slice(0, MOST_CLIPS).map((name) => thumbnail(label, name)));
  if (clips.length > MOST_CLIPS) list.append(`and ${clips.length - MOST_CLIPS} more`);
  if (!clips.length) list.append("no clip yet: two or three are good");
  item.querySelector(".record").setAttribute("aria-label", `Record ${label}`);
  item.querySelector(".record").onclick = () => attempt("examples-said", () => recordExample(label));
  const input = item.querySelector("input");
  input.setAttribute("aria-label", `Add clips of ${label}`);
  input.onchange = () => attempt("examples-said", () => addAll(label, [...input.files]));
  dropping(item, (files) => attempt("examples-said", () => addAll(label, files)));
  return item;
}

// What a thumbnail shows is asked for when it comes into sight, and once.
const clips = new Map();
const seen = new IntersectionObserver(
  (entries) => {
    for (const { target } of entries.filter((each) => each.isIntersecting)) {
      seen.unobserve(target);
      const address = target.dataset.clip;
      if (!clips.has(address)) clips.set(address, ask(address).then((answer) => answer.blob()).then((blob) => URL.createObjectURL(blob)));
      clips.get(address).then((url) => (target.src = url), () => clips.delete(address));
    }
  },
  { rootMargin: "200px" },
);

function thumbnail(label, name) {
  const figure = document.createElement("figure");
  const address = place({ label, example: name });
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, loop: true });
  video.dataset.clip = address;
  video.onclick = () => (video.paused ? video.play() : video.pause());
  const remove = Object.assign(document.createElement("button"), { type: "button", textContent: "×" });
  remove.setAttribute("aria-label", `Delete ${name} of ${label}`);
  remove.onclick = () =>
    attempt("examples-said", async () => {
      if (!confirm(`Delete ${name} of ${label}?`)) return;
      await ask(address, { method: "DELETE" });
      clips.delete(address); // another may get its name
      await refresh();
    });
  figure.append(video, remove);
  seen.observe(video);
  return figure;
}

async function addAll(label, files) {
  if (!support()) throw new Error("Give the support set a name first.");
  for (const [number, file] of files.entries()) {
    say("examples-said", `sending ${number + 1} of ${files.length} …`);
    await ask(place({ label }), { method: "POST", body: file });
  }
  say("examples-said");
  await refresh();
}

async function recordExample(label) {
  await turnOn();
  const clip = await recorded(`Recording ${label}`);
  await addAll(label, [clip]);
}

async function recorded(words) {
  const seconds = Number(get("seconds").value);
  document.querySelectorAll(".record").forEach((each) => (each.disabled = true));
  get("recording").textContent = `${words}, ${seconds} s`;
  get("recording").classList.add("on");
  try {
    return await camera.record(seconds);
  } finally {
    get("recording").textContent = "";
    get("recording").classList.remove("on");
    document.querySelectorAll(".record").forEach((each) => (each.disabled = false));
  }
}

async function turnOn() {
  await camera.open(get("preview"));
  get("camera").hidden = false;
}

function turnOff() {
  watching = false;
  camera.close(get("preview"));
  get("camera").hidden = true;
  get("watch").textContent = "Turn the camera on";
}

async function predict(clip) {
  if (!support()) throw new Error(NO_EXAMPLES);
  const words = query({ support: support(), top: 3, look: true });
  const told = await (await ask(`predict?${words}`, { method: "POST", body: clip })).json();
  const none = told.none === null ? [] : [{ class: "none of these", confidence: told.none }];
  const ranked = told.none > 0.5 ? [...none, ...told.classes] : [...told.classes, ...none];
  const rows = ranked.map((each) => {
    const row = document.createElement("li");
    const name = Object.assign(document.createElement("span"), { textContent: each.class });
    const share = Object.assign(document.createElement("b"), { textContent: `${Math.round(100 * each.confidence)} %` });
    const meter = Object.assign(document.createElement("meter"), { value: each.confidence });
    meter.setAttribute("aria-label", `${each.class}: ${share.textContent}`);
    row.append(name, share, meter);
    return row;
  });
  get("ranks").replaceChildren(...rows);
  get("look").src = told.look;
  get("look-said").textContent = told.looks_known
    ? "What the model reads, brighter where it looks. The percentages are a softmax, not how often it is right."
    : "What the model reads. This method does not say where it looks.";
  get("answer").hidden = false;
  const twin = told.same_frames_as ? [`It is one of the examples (${told.same_frames_as}), so the answer says nothing.`] : [];
  say("try-said", [...twin, ...told.remarks].join(" "));
}

async function tryFile(file) {
  if (!file) return;
  say("try-said", "reading the clip …");
  get("shown").hidden = false;
  get("shown").src = URL.createObjectURL(file);
  get("shown").play().catch(() => {});
  await predict(file);
}

async function watch() {
  if (watching) return turnOff();
  if (!support()) throw new Error(NO_EXAMPLES);
  await turnOn();
  watching = true;
  get("watch").textContent = "Turn the camera off";
  get("shown").hidden = true;
  try {
    while (watching) {
      const clip = await recorded("Looking");
      if (watching) await predict(clip);
    }
  } catch (error) {
    turnOff();
    throw error;
  }
}

function dropping(element, take) {
  element.ondragover = (event) => {
    event.preventDefault();
    element.classList.add("over");
  };
  element.ondragleave = () => element.classList.remove("over");
  element.ondrop = (event) => {
    event.preventDefault();
    element.classList.remove("over");
    take([...event.dataTransfer.files]);
  };
}

get("support").onchange = () => {
  extra = [];
  get("find").value = "";
  say("examples-said");
  attempt("examples-said", refresh);
};
get("new-class").onsubmit = (event) => {
  event.preventDefault();
  const label = get("label").value.trim();
  if (label && !extra.includes(label)) extra.push(label);
  get("label").value = "";
  show();
};
get("find").oninput = show;
get("off").onclick = turnOff;
get("watch").onclick = () => attempt("try-said", watch);
get("clip").onchange = () => attempt("try-said", () => tryFile(get("clip").files[0]));
dropping(get("try"), (files) => attempt("try-said", () => tryFile(files[0])));
attempt("examples-said", async () => {
  const told = await (await ask("supports")).json();
  get("support").value = told.supports.length ? told.supports[0].name : "mine";
  await refresh();
});
