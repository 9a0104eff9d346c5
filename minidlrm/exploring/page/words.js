// The reader's language: each sentence is written in English where it is used, as a pattern.

let known = {};

// From now on, say what is in `words` ({English: translated}) in their words
export function speak(words) {
  known = words || {};
}

// A sentence in the reader's language; `values` take the places of their names in braces
export function tell(pattern, values = {}) {
  const said = Object.hasOwn(known, pattern) ? known[pattern] : pattern;
  return said.replace(/\{(\w+)\}/g, (all, name) =>
    (Object.hasOwn(values, name) ? String(values[name]) : all));
}
