// Pixels of any size -> the size that the model takes, level by level as Pillow does it:
// `ImageOps.fit` and `Image.resize` with BILINEAR. Columns first, then rows, each rounded; newer
// Pillows begin with the rows where that is less work, and may then differ by one level.
// A `source` has width, height and channels, and `read(x, y, columns, rows)`, which returns the
// levels of a part of at most `tile` pixels a side, so that no more is in memory.

const PRECISION = 2 ** 22;  // the weights are whole numbers, as Pillow's are
const SPARE = 2;  // a JPEG is decoded to at least this many times the size

// The weights with which the pixels from `begin` to `end` of `length` become `size` pixels:
// for each its first pixel, and the weights from there on.
function bilinear(length, begin, end, size) {
  [begin, end] = [Math.fround(begin), Math.fround(end)];
  const scale = (end - begin) / size, reach = Math.max(scale, 1);
  return Array.from({length: size}, (_, index) => {
    const center = begin + (index + 0.5) * scale;
    const first = Math.max(Math.trunc(center - reach + 0.5), 0);
    const past = Math.min(Math.trunc(center + reach + 0.5), length);
    const weights = Array.from({length: past - first}, (_, k) =>
      Math.max(1 - Math.abs((k + first - center + 0.5) / reach), 0));
    const sum = weights.reduce((a, b) => a + b, 0);
    return {first, weights: weights.map(weight => Math.trunc(weight / sum * PRECISION + 0.5))};
  });
}

function level(sum) { return Math.floor((sum + PRECISION / 2) / PRECISION); }

// Scale a part of an image, `box` of left, top, right and bottom, to width × height.
function scale(source, box, width, height) {
  const {channels, tile} = source;
  const across = bilinear(source.width, box[0], box[2], width);
  const down = bilinear(source.height, box[1], box[3], height);
  const top = down[0].first, bottom = past(down[height - 1]);
  const left = across[0].first, right = past(across[width - 1]);
  const narrow = new Uint8Array((bottom - top) * width * channels);
  for (let y = top; y < bottom; y += tile) {
    const rows = Math.min(tile, bottom - y), sums = new Float64Array(rows * width * channels);
    for (let x = left; x < right; x += tile) {
      const columns = Math.min(tile, right - x);
      addColumns(sums, source.read(x, y, columns, rows), {x, columns, rows, channels}, across);
    }
    sums.forEach((sum, index) => { narrow[(y - top) * width * channels + index] = level(sum); });
  }
  return addRows(narrow, down, top, width * channels);
}

function past({first, weights}) { return first + weights.length; }

// Add to the sums of each row what a tile's columns contribute.
function addColumns(sums, levels, {x, columns, rows, channels}, across) {
  across.forEach(({first, weights}, index) => {
    const from = Math.max(first, x), to = Math.min(first + weights.length, x + columns);
    for (let row = 0; row < rows && from < to; row++)
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0, at = (row * columns + from - x) * channels + channel;
        for (let k = from - first; k < to - first; k++, at += channels) sum += levels[at] * weights[k];
        sums[(row * across.length + index) * channels + channel] += sum;
      }
  });
}

function addRows(narrow, down, top, width) {
  const result = new Uint8Array(down.length * width);
  down.forEach(({first, weights}, row) => {
    for (let i = 0; i < width; i++) {
      let sum = 0;
      weights.forEach((weight, k) => { sum += weight * narrow[(first - top + k) * width + i]; });
      result[row * width + i] = level(sum);
    }
  });
  return result;
}

// Bring an image to the model's size; `fit` as in kmixer/data/decode.py.
function fitted(source, {width, height, fit}) {
  const whole = [0, 0, source.width, source.height];
  if (fit === "crop") return scale(source, middle(source, width / height), width, height);
  if (fit === "stretch") return scale(source, whole, width, height);
  if (source.width === width && source.height === height) return scale(source, whole, width, height);
  const factor = Math.min(width / source.width, height / source.height);
  const inner = [source.width, source.height].map(side => Math.max(halfToEven(side * factor), 1));
  return framed(scale(source, whole, ...inner), inner, width, height, source.channels);
}

// Return a source of the means of squares, as Pillow decodes a JPEG that is much too large.
function shrunk(source, {width, height}) {
  const most = Math.min(Math.floor(source.width / (SPARE * width)), Math.floor(source.height / (SPARE * height)));
  const side = [8, 4, 2].find(side => side <= most);
  if (!side) return source;
  const read = (x, y, columns, rows) => {
    const [right, bottom] = [Math.min((x + columns) * side, source.width), Math.min((y + rows) * side, source.height)];
    const levels = source.read(x * side, y * side, right - x * side, bottom - y * side);
    return means(levels, right - x * side, source.channels, side, columns, rows);
  };
  const [w, h] = [Math.ceil(source.width / side), Math.ceil(source.height / side)];
  return {...source, read, width: w, height: h, tile: source.tile / side};
}

function means(levels, width, channels, side, columns, rows) {
  const result = new Uint8Array(columns * rows * channels), height = levels.length / width / channels;
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const bottom = Math.min((row + 1) * side, height), right = Math.min((column + 1) * side, width);
      const count = (bottom - row * side) * (right - column * side);
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0;
        for (let y = row * side; y < bottom; y++)
          for (let x = column * side; x < right; x++) sum += levels[(y * width + x) * channels + channel];
        result[(row * columns + column) * channels + channel] = Math.round(sum / count);
      }
    }
  return result;
}

// The largest part of an image in its middle that has the ratio of width to height.
function middle({width, height}, ratio) {
  if (width / height === ratio) return [0, 0, width, height];
  const wide = width / height >= ratio;
  const kept = wide ? [ratio * height, height] : [width, width / ratio];
  const begin = [(width - kept[0]) * 0.5, (height - kept[1]) * 0.5];
  return [...begin, begin[0] + kept[0], begin[1] + kept[1]];
}

function halfToEven(value) {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

// Lay an image in the middle of a larger one of the median color of its border.
function framed(levels, [innerWidth, innerHeight], width, height, channels) {
  const left = Math.floor((width - innerWidth) / 2), top = Math.floor((height - innerHeight) / 2);
  const result = new Uint8Array(width * height * channels);
  for (let channel = 0; channel < channels; channel++) {
    const color = median(borderOf((x, y) => levels[(y * innerWidth + x) * channels + channel], innerWidth, innerHeight));
    for (let i = channel; i < result.length; i += channels) result[i] = color;
  }
  for (let y = 0; y < innerHeight; y++) {
    const row = levels.subarray(y * innerWidth * channels, (y + 1) * innerWidth * channels);
    result.set(row, ((top + y) * width + left) * channels);
  }
  return result;
}

// The first and the last row, and the sides between them.
function borderOf(at, width, height) {
  const rows = [0, height - 1].flatMap(y => Array.from({length: width}, (_, x) => at(x, y)));
  const sides = Array.from({length: Math.max(height - 2, 0)}, (_, y) => [at(0, y + 1), at(width - 1, y + 1)]);
  return [...rows, ...sides.flat()];
}

function median(values) {
  values.sort((a, b) => a - b);
  const half = values.length / 2;
  return Math.floor((values[Math.ceil(half) - 1] + values[Math.floor(half)]) / 2);
}
