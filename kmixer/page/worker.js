// The model beside the page, so that the page stays quick: takes {id, task, …}, answers {id, result or error}.
"use strict";

let model;  // a promise of {about, tokens, answer, head}; see `parted`

const TASKS = {
  async open({about, weights}) {
    model = unpack(weights, about.bytes).then(numbers => ({about, ...parted(about.network, numbers)}));
    await model;
  },
  async classify({file, invert}) {
    const {about, tokens, answer} = await model;
    const pixels = await decode(file, about);
    if (invert) pixels.forEach((value, i) => { pixels[i] = 255 - value; });
    const values = tokens(pixels);
    return {pixels, tokens: values, probabilities: answer(values)};
  },
  async parts({tokens, label}) {  // of each token, in a class's logit
    const {head: {kernel, shape: [classes]}} = await model;
    const channels = kernel.length / classes, count = tokens.length / channels;
    const weights = Float64Array.from({length: channels}, (_, c) => kernel[c * classes + label]);
    return Float64Array.from({length: count}, (_, t) =>
      weights.reduce((sum, weight, c) => sum + weight * tokens[t * channels + c], 0) / count);
  },
  async probabilities({pixels}) {  // of several images, one behind the other
    const {about, tokens, answer} = await model;
    const size = about.width * about.height * about.channels, rows = [];
    for (let from = 0; from < pixels.length; from += size)
      rows.push(Array.from(answer(tokens(pixels.subarray(from, from + size)))));
    return rows;
  },
};

onmessage = async ({data}) => {
  try {
    postMessage({id: data.id, result: await TASKS[data.task](data)});
  } catch (error) {
    postMessage({id: data.id, error: error.message});
  }
};
