// The text that the file holds -> the network's numbers; exporting/writers/web.py packs them.

async function unpack(text, size) {  // in bytes of a number
  const packed = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = bytes.length / size, whole = new Uint8Array(bytes.length);
  for (let plane = 0; plane < size; plane++)  // the first bytes of all numbers lie together, and so on
    for (let i = 0; i < count; i++) whole[size * i + plane] = bytes[plane * count + i];
  if (size === 4) return new Float32Array(whole.buffer);
  return Float32Array.from(new Uint16Array(whole.buffer), half);
}

function half(bits) {  // IEEE 754 binary16; infinities do not occur
  const exponent = bits >> 10 & 31, fraction = bits & 1023;
  const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
  return bits >> 15 ? -size : size;
}
