// The steps of a network, as kmixer/exporting/steps.py describes them, in JavaScript.
// Values are Float32Array, sums are doubles.

// Return a function of one image's levels, as the network's steps take it, to its probabilities.
function network({steps}, numbers) {
  const kept = new Set(steps.filter(step => step.kind === "add").map(step => step.other));
  const ready = steps.map(step => withArrays(step, numbers));
  return levels => {
    let value = Float32Array.from(levels);
    const earlier = new Map([[0, value]]);
    ready.forEach((step, index) => {
      value = STEPS[step.kind](value, step, earlier);
      if (kept.has(index + 1)) earlier.set(index + 1, value);
    });
    return value;
  };
}

// Return a network up to the mean over its tokens, what comes after, and the weights of the head there; of one
// without such a mean all comes before.
function parted({steps}, numbers) {
  const cut = steps.at(-3)?.kind === "mean" ? steps.length - 3 : steps.length;
  const [tokens, answer] = [steps.slice(0, cut), steps.slice(cut)].map(some => network({steps: some}, numbers));
  return {tokens, answer, head: cut < steps.length && withArrays(steps.at(-2), numbers)};
}

function withArrays(step, numbers) {
  const entries = Object.entries(step).map(([name, value]) => {
    if (value?.offset === undefined) return [name, value];
    return [name, numbers.subarray(value.offset, value.offset + product(value.shape))];
  });
  return Object.fromEntries(entries);
}

function product(sides) { return sides.reduce((a, b) => a * b, 1); }

function filled({shape}) { return new Float32Array(product(shape)); }

const STEPS = {affine, pad, patches, convolution, dense, layer_norm, activation, add, shift, mean, max_pool, softmax};

function affine(x, step) {
  const {axis, input_shape: sides, scale, offset} = step, y = filled(step);
  const inner = product(sides.slice(axis + 1));
  for (let i = 0; i < x.length; i++) {
    const k = Math.floor(i / inner) % sides[axis];
    y[i] = x[i] * scale[k] + offset[k];
  }
  return y;
}

function pad(x, step) {
  const [rows, columns, channels] = step.input_shape, [height, width] = step.shape, y = filled(step);
  const [top] = step.rows, [left] = step.columns;
  for (let r = Math.max(0, -top); r < rows && r + top < height; r++) {
    const from = Math.max(0, -left), to = Math.min(columns, width - left);
    y.set(x.subarray((r * columns + from) * channels, (r * columns + to) * channels),
      ((r + top) * width + from + left) * channels);
  }
  return y;
}

// Call `give(patch, index)` with the flattened square of each position, row by row.
function eachPatch(x, {input_shape: [rows, columns, channels], size, stride}, give) {
  const patch = new Float32Array(size * size * channels), run = size * channels;
  let index = 0;
  for (let top = 0; top + size <= rows; top += stride)
    for (let left = 0; left + size <= columns; left += stride) {
      for (let r = 0; r < size; r++) {
        const from = ((top + r) * columns + left) * channels;
        patch.set(x.subarray(from, from + run), r * run);
      }
      give(patch, index++);
    }
}

function patches(x, step) {
  const y = filled(step);
  eachPatch(x, step, (patch, index) => y.set(patch, index * patch.length));
  return y;
}

function convolution(x, step) {
  const {kernel, bias} = step, y = filled(step), filters = step.shape[2];
  const sums = new Float64Array(filters);
  eachPatch(x, step, (patch, index) => {
    if (bias) sums.set(bias); else sums.fill(0);
    addRowsTimes(sums, kernel, 0, patch, 0, 1, patch.length);
    y.set(sums, index * filters);
  });
  return y;
}

function dense(x, step) {
  const {axis, input_shape: sides, kernel, bias} = step, y = filled(step);
  const count = sides[axis], width = step.shape[axis];
  const outer = product(sides.slice(0, axis)), inner = product(sides.slice(axis + 1));
  if (inner === 1) {
    const sums = new Float64Array(width);
    for (let o = 0; o < outer; o++) {
      if (bias) sums.set(bias); else sums.fill(0);
      addRowsTimes(sums, kernel, 0, x, o * count, 1, count);
      y.set(sums, o * width);
    }
    return y;
  }
  const sums = new Float64Array(inner);
  for (let o = 0; o < outer; o++)
    for (let j = 0; j < width; j++) {
      sums.fill(bias ? bias[j] : 0);
      addRowsTimes(sums, x, o * count * inner, kernel, j, width, count);
      y.set(sums, (o * width + j) * inner);
    }
  return y;
}

// Add `count` rows of a matrix to the sums, each times its factor; four at a time, for speed.
function addRowsTimes(sums, matrix, begin, factors, first, step, count) {
  const width = sums.length;
  let k = 0;
  for (; k + 3 < count; k += 4) {
    const f = first + k * step;
    const f0 = factors[f], f1 = factors[f + step], f2 = factors[f + 2 * step], f3 = factors[f + 3 * step];
    const r0 = begin + k * width, r1 = r0 + width, r2 = r1 + width, r3 = r2 + width;
    for (let j = 0; j < width; j++)
      sums[j] += f0 * matrix[r0 + j] + f1 * matrix[r1 + j] + f2 * matrix[r2 + j] + f3 * matrix[r3 + j];
  }
  for (; k < count; k++) {
    const factor = factors[first + k * step], row = begin + k * width;
    for (let j = 0; j < width; j++) sums[j] += factor * matrix[row + j];
  }
}

function layer_norm(x, step) {
  const {gamma, beta, epsilon} = step, y = filled(step), width = gamma.length;
  for (let row = 0; row < x.length; row += width) {
    let mean = 0, variance = 0;
    for (let i = 0; i < width; i++) mean += x[row + i] / width;
    for (let i = 0; i < width; i++) variance += (x[row + i] - mean) ** 2 / width;
    const scale = 1 / Math.sqrt(variance + epsilon);
    for (let i = 0; i < width; i++) y[row + i] = (x[row + i] - mean) * scale * gamma[i] + beta[i];
  }
  return y;
}

// To 1.5e-7: M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 7.1.26.
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const ACTIVATIONS = {
  relu: x => Math.max(x, 0),
  leaky_relu: x => x > 0 ? x : 0.2 * x,
  tanh: Math.tanh,
  silu: x => x / (1 + Math.exp(-x)),
  gelu: x => x / 2 * (1 + erf(x * Math.SQRT1_2)),
  gelu_tanh: x => x / (1 + Math.exp(-Math.sqrt(8 / Math.PI) * (x + 0.044715 * x ** 3))),
};

function activation(x, {name}) { return x.map(ACTIVATIONS[name]); }

function add(x, {other}, earlier) {
  const y = earlier.get(other);
  return x.map((value, i) => value + y[i]);
}

function shift(x, step) {
  const [rows, columns, channels] = step.shape, y = filled(step);
  for (const [down, right, first, end] of step.groups)
    for (let r = Math.max(0, -down); r < Math.min(rows, rows - down); r++)
      for (let c = Math.max(0, -right); c < Math.min(columns, columns - right); c++) {
        const from = ((r + down) * columns + c + right) * channels;
        y.set(x.subarray(from + first, from + end), (r * columns + c) * channels + first);
      }
  return y;
}

function mean(x, step) {
  const width = step.shape[0], sums = new Float64Array(width);
  for (let i = 0; i < x.length; i++) sums[i % width] += x[i];
  return Float32Array.from(sums, sum => sum * width / x.length);
}

function max_pool(x, step) {
  const columns = step.input_shape[1], [height, width, channels] = step.shape, {size} = step;
  const y = filled(step).fill(-Infinity);
  for (let r = 0; r < height * size; r++)
    for (let c = 0; c < width * size; c++) {
      const from = (r * columns + c) * channels, to = (Math.floor(r / size) * width + Math.floor(c / size)) * channels;
      for (let k = 0; k < channels; k++) y[to + k] = Math.max(y[to + k], x[from + k]);
    }
  return y;
}

function softmax(x) {
  const most = Math.max(...x), powers = Array.from(x, value => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return Float32Array.from(powers, power => power / sum);
}
