// The text that the file holds -> the network's numbers; exporting/writers/web.py packs them.

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = bytes.length / 4, whole = new Uint8Array(bytes.length);
  for (let plane = 0; plane < 4; plane++)  // the first bytes of all numbers lie together, and so on
    for (let i = 0; i < count; i++) whole[4 * i + plane] = bytes[plane * count + i];
  return new Float32Array(whole.buffer);
}
