// An image file -> the pixels that the model takes, as kmixer/data/decode.py and eight_bit.py decode it.

const TILE = 2048;  // pixels of a side: phones allow no larger canvas, and no larger is in memory
const NEARLY_WHITE = 191;

async function decode(file, decoding) {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none",
  }).catch(() => { throw new Error("it is damaged, or of a kind that this browser does not read"); });
  try {
    const tiles = reader(bitmap), {channels} = decoding;
    const background = backgroundOf(tiles, bitmap);
    const read = (...tile) => levelsOf(tiles(...tile), background, channels);
    const source = {read, width: bitmap.width, height: bitmap.height, channels, tile: TILE};
    return fitted(await isJpeg(file) ? shrunk(source, decoding) : source, decoding);
  } finally { bitmap.close(); }
}

async function isJpeg(file) {
  const [first, second] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  return first === 0xFF && second === 0xD8;
}

// Return a function that reads a tile's pixels: red, green, blue, and how opaque they are.
function reader(bitmap) {
  const side = length => Math.min(length, TILE);
  const canvas = new OffscreenCanvas(side(bitmap.width), side(bitmap.height));
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.globalCompositeOperation = "copy";
  return (x, y, columns, rows) => {
    context.drawImage(bitmap, x, y, columns, rows, 0, 0, columns, rows);
    return context.getImageData(0, 0, columns, rows).data;
  };
}

// The level to lay a transparent image on: white, or black if what is visible is nearly white.
function backgroundOf(tiles, {width, height}) {
  let light = 0, opacity = 0;
  for (let y = 0; y < height; y += TILE)
    for (let x = 0; x < width; x += TILE) {
      const data = tiles(x, y, Math.min(TILE, width - x), Math.min(TILE, height - y));
      for (let i = 0; i < data.length; i += 4) {
        const share = data[i + 3];
        opacity += share;
        light += luma(onto(data[i], share, 0), onto(data[i + 1], share, 0), onto(data[i + 2], share, 0));
      }
    }
  return light * 255 > NEARLY_WHITE * opacity ? 0 : 255;
}

function levelsOf(data, background, channels) {
  const levels = new Uint8Array(data.length / 4 * channels);
  for (let i = 0, at = 0; i < data.length; i += 4) {
    const color = [0, 1, 2].map(k => onto(data[i + k], data[i + 3], background));
    if (channels === 1) levels[at++] = luma(...color);
    else for (const value of color) levels[at++] = value;
  }
  return levels;
}

function onto(value, share, background) {
  return share === 255 ? value : Math.floor((value * share + background * (255 - share)) / 255 + 0.5);
}

function luma(red, green, blue) {  // ITU-R 601-2, in whole numbers as Pillow computes it
  return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
}
