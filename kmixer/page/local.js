// The engine of the page that is a file: the model that the file holds, in a worker.

const MOST_PIXELS = 50_000_000;
const READY = "DecompressionStream" in self && "OffscreenCanvas" in self;
const worker = new Worker(URL.createObjectURL(
  new Blob([at("worker").textContent], {type: "text/javascript"})));
const waiting = new Map();
let calls = 0;

function call(task, values) {
  return new Promise((resolve, reject) => {
    waiting.set(++calls, {resolve, reject});
    worker.postMessage({id: calls, task, ...values});
  });
}

worker.onmessage = ({data: {id, result, error}}) => {
  const {resolve, reject} = waiting.get(id);
  waiting.delete(id);
  if (error === undefined) resolve(result); else reject(new Error(error));
};
worker.onerror = event => {  // out of memory, say
  for (const {reject} of waiting.values()) reject(new Error(`The model stopped: ${event.message}`));
  waiting.clear();
};

const opened = READY ? call("open", {about, weights: at("weights").textContent})
  : Promise.reject(new Error("This browser is too old for the page: one of 2023 or newer was expected."));
opened.catch(error => refuse(error.message));

async function classify(file, invert) {
  await opened;
  await checkSize(file);
  const {pixels, tokens, probabilities} = await call("classify", {file, invert})
    .catch(error => { throw new Error(`${file.name || "The image"}: ${error.message}`); });
  const classes = about.names.map((name, label) => ({label, class: name, probability: probabilities[label]}))
    .sort((a, b) => b.probability - a.probability);
  const answer = about.answers && answerOf(probabilities, about.answers, about.names);
  const explanation = about.areas && await why(tokens, classes[0]);
  return {classes, seen: picture(opaque(pixels)), answer, explanation};
}

// Refuse what is no image, or a too large one, before its pixels are decoded.
async function checkSize(file) {
  const image = new Image(), address = URL.createObjectURL(file), name = file.name || "The image";
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = () => reject(new Error(`${name}: not an image that this browser reads`));
      image.src = address;
    });
  } finally { URL.revokeObjectURL(address); }
  const {naturalWidth: width, naturalHeight: height} = image;
  if (width * height > MOST_PIXELS)
    throw new Error(`${name}: too large: ${width}×${height} pixels, at most ${MOST_PIXELS / 1e6} million are read`);
}

async function why(tokens, chosen) {
  const parts = await call("parts", {tokens, label: chosen.label});
  const heat = heatOf(parts, about.areas, about.width, about.height);
  return {chosen, maps: {chosen: picture(colours(heat))}};
}

// Return levels as colours, four numbers for each pixel.
function opaque(pixels) {
  const {width, height, channels} = about, data = new Uint8ClampedArray(width * height * 4).fill(255);
  for (let i = 0; i < width * height; i++)
    for (let k = 0; k < 3; k++) data[4 * i + k] = pixels[channels === 1 ? i : 3 * i + k];
  return data;
}

// Return colours as the address of a picture.
function picture(data) {
  const {width, height} = about, canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas.toDataURL();
}

// Return the probabilities of images as rows; for the proof. `text` holds their levels in base64.
async function probabilities(text) {
  await opened;
  return call("probabilities", {pixels: Uint8Array.from(atob(text), letter => letter.charCodeAt(0))});
}
