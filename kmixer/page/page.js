"use strict";
const at = id => document.getElementById(id);
const about = JSON.parse(at("model").textContent);
const MOST = 5, PEN = 18, STEP = 10;
const grey = about.channels === 1;
const longest = Math.max(about.width, about.height);
at("name").textContent = about.name;
at("about").textContent =
  `${about.classes} classes; the model sees ${about.width}×${about.height} ${grey ? "grey" : "colour"} pixels.`;
document.title = `${about.name} · kmixer`;
document.body.style.setProperty("--rows", Math.min(MOST, about.classes));
document.body.style.setProperty("--share", about.width / longest);
for (const element of document.querySelectorAll(".grey")) element.hidden = !grey;  // the pad draws white on black

let last = 0;  // answers may overtake each other: only that of the last request is shown
async function ask(file, invert) {
  const number = ++last;
  at("error").textContent = "";
  at("answer").ariaBusy = true;
  try {
    const result = await classify(file, invert);
    if (number === last) show(result);
  } catch (error) {
    if (number === last) refuse(error.message);
  }
  if (number === last) at("answer").ariaBusy = false;
}

function show(result) {
  at("none").hidden = true;
  at("classes").hidden = at("saw").hidden = false;
  at("says").hidden = !result.answer;
  if (result.answer) at("says").textContent = sentence(result.answer);
  at("classes").replaceChildren(...result.classes.slice(0, MOST).map(classBar));
  at("seen").src = result.seen;
  explain(result.explanation);
  if (given) at("answer").scrollIntoView({block: "nearest"});  // a drawing stays under the finger
}

function explain(found) {  // an engine that knows no reasons gives none
  at("why").hidden = !found;
  at("map").hidden = !found || !at("explain").checked;
  if (!found) return;
  at("map").src = found.maps.chosen;
  at("explained").textContent = found.chosen.class;
}
at("explain").addEventListener("change", () => { at("map").hidden = !at("explain").checked; });

function refuse(reason) {
  at("error").textContent = reason;
  at("says").hidden = at("classes").hidden = at("saw").hidden = at("none").hidden = true;  // they were another image's
}

function sentence({known, coverage, says}) {
  return known ? `${says} (${Math.round(1000 * coverage) / 10} %)` : `${says}.`;
}

function classBar(entry) {
  const [item, name, share, track, fill] =
    ["li", "span", "span", "div", "div"].map(tag => document.createElement(tag));
  name.textContent = entry.class;
  share.textContent = `${(100 * entry.probability).toFixed(1)} %`;
  track.className = "track"; fill.className = "fill"; fill.style.width = `${100 * entry.probability}%`;
  track.append(fill);
  item.append(name, share, track);
  return item;
}

let given = null;
function give(file) { if (file) { given = file; ask(file, at("invert").checked); } }
for (const input of [at("photo"), at("file")])
  input.addEventListener("change", () => { give(input.files[0]); input.value = ""; });
at("invert").addEventListener("change", () => give(given));
document.addEventListener("paste", event =>
  give([...event.clipboardData.files].find(file => file.type.startsWith("image/"))));
for (const kind of ["dragover", "dragleave", "drop"])
  document.addEventListener(kind, event => {
    event.preventDefault();
    at("give").classList.toggle("over", kind === "dragover");
    if (kind === "drop") give(event.dataTransfer.files[0]);
  });

const pad = at("pad"), ink = pad.getContext("2d");
pad.width = Math.round(280 * about.width / longest);  // the pad has the shape of the model's images
pad.height = Math.round(280 * about.height / longest);
pad.style.maxWidth = `${pad.width}px`;
let pen = {x: pad.width / 2, y: pad.height / 2}, down = false;
function clear() { ink.fillStyle = "#000"; ink.fillRect(0, 0, pad.width, pad.height); }
function line(to) {
  ink.strokeStyle = "#fff"; ink.lineWidth = PEN; ink.lineCap = "round";
  ink.beginPath(); ink.moveTo(pen.x, pen.y); ink.lineTo(to.x, to.y); ink.stroke();
}
function place(event) {
  const box = pad.getBoundingClientRect(), scale = pad.width / box.width;
  return {x: (event.clientX - box.left) * scale, y: (event.clientY - box.top) * scale};
}
function askPad() { given = null; pad.toBlob(blob => ask(blob, false)); }
pad.addEventListener("pointerdown", event => {
  pad.setPointerCapture(event.pointerId);
  down = true; pen = place(event); line(pen);
});
pad.addEventListener("pointermove", event => {
  if (!down || !event.buttons) return;
  const to = place(event); line(to); pen = to;
});
pad.addEventListener("pointerup", () => { down = false; askPad(); });
const MOVES = {ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP]};
pad.addEventListener("keydown", event => {
  if (event.key in MOVES) {
    const [x, y] = MOVES[event.key];
    const to = {x: Math.min(Math.max(pen.x + x, 0), pad.width),
      y: Math.min(Math.max(pen.y + y, 0), pad.height)};
    if (down) line(to);
    pen = to;
  } else if (event.key === " ") { down = !down; if (down) line(pen); }
  else if (event.key === "Enter") askPad();
  else if (event.key === "Delete" || event.key === "Backspace") clear();
  else return;
  event.preventDefault();
});
at("ask").addEventListener("click", askPad);
at("clear").addEventListener("click", clear);
clear();
