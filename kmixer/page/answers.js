// What a model answers beside probabilities: what kmixer/runs/answers.py says, in the page that holds its model.

const MOST_NAMES = 4;  // of a set, in words
const UNKNOWN = "I do not know this";

function answerOf(probabilities, answers, names) {
  const order = names.map((_, i) => i).sort((a, b) => probabilities[b] - probabilities[a]);
  const set = order.filter((i, rank) => !rank || probabilities[i] >= answers.least[i]).map(i => names[i]);
  const known = spread(probabilities, answers.smallest) >= answers.least_spread;
  return {set, known, coverage: answers.coverage, says: known ? inWords(set) : UNKNOWN};
}

// Return the standard deviation of the logits, which are the logarithms but for a constant.
function spread(probabilities, smallest) {
  const logits = Array.from(probabilities, p => Math.log(Math.max(p, smallest)));
  const mean = logits.reduce((sum, value) => sum + value) / logits.length;
  return Math.sqrt(logits.reduce((sum, value) => sum + (value - mean) ** 2, 0) / logits.length);
}

function inWords(names) {
  if (names.length > MOST_NAMES) return `one of ${names.length}: ${names.slice(0, MOST_NAMES - 1).join(", ")}, …`;
  return [names.slice(0, -1).join(", "), names.at(-1)].filter(Boolean).join(" or ");
}
