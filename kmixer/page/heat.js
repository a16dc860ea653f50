// Why this class: what each token adds to its logit, as a picture to lay over the image. As kmixer/evaluation/explanation.py, kmixer/models/token_areas.py and heat_maps.py do it.

const FOR = [20, 105, 255], AGAINST = [235, 65, 20], DENSEST = 0.85;

// Return the parts, row by row, spread evenly over the pixels of each token's patch.
function heatOf(parts, {rows, columns}, width, height) {
  const heat = new Float64Array(width * height);
  rows.forEach(([top, bottom], r) => columns.forEach(([left, right], c) => {
    const share = parts[r * columns.length + c] / Math.max((bottom - top) * (right - left), 1);
    for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) heat[y * width + x] += share;
  }));
  return heat;
}

// Return colours, four numbers for each pixel; zero is transparent.
function colours(heat) {
  const largest = heat.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);
  const data = new Uint8ClampedArray(4 * heat.length);
  heat.forEach((value, i) =>
    data.set([...(value > 0 ? FOR : AGAINST), 255 * DENSEST * Math.abs(value) / largest], 4 * i));
  return data;
}
