// What a gradient promises, beside what the loss does: finite differences, and known mistakes.
import { backward, forward, parameters } from "./arithmetic.js";
import { tell } from "./words.js";

// The mistakes that the page can make, by their keys in minidlrm's catalogue
export const MISTAKES = ["duplicates", "triangle", "second_path", "batch_twice"];

const STEP = 6e-6; // near the cube root of the float64 epsilon: the best for a central difference
const TOLERANCE = 1e-6; // of the largest slope of an array
const FLAT = 1e-9; // below it a slope is the rounding of the loss

// Central difference of the loss by one number; null at a corner of a ReLU
export function slopeOf(model, batch, array, k) {
  const before = array[k], step = STEP * Math.max(1, Math.abs(before));
  const lossAt = (by) => {
    array[k] = before + by;
    return forward(model, batch).loss;
  };
  const here = lossAt(0), right = lossAt(step), left = lossAt(-step);
  array[k] = before;
  const bend = Math.abs(right - 2 * here + left) / step; // a kink's jump of the slope; else ~ step
  const slope = (right - left) / (2 * step);
  return bend > 1e-4 * (Math.abs(slope) + 1e-2) ? null : slope;
}

// The entries to check of an array: those that the batch can reach, at most `most`, spread evenly
function chosen(array, uses, most) {
  let all = [];
  for (let k = 0; k < array.value.length; k++)
    if (array.name !== "embeddings.weight" || uses[Math.floor(k / array.cols)]) all.push(k);
  if (all.length > most) {
    const every = all.length / most;
    all = Array.from({ length: most }, (_, n) => all[Math.floor(n * every)]);
  }
  return all;
}

// For each array: {name, total, entries: [{k, given, slope, wrong}], wrong, kinks}
export function check(model, batch, grads, most = 400) {
  return parameters(model, grads).map((array) => {
    const entries = [];
    let kinks = 0, largest = 0;
    for (const k of chosen(array, grads.uses, most)) {
      const slope = slopeOf(model, batch, array.value, k);
      if (slope === null) kinks += 1;
      else {
        entries.push({ k, given: array.grad[k], slope, wrong: false });
        largest = Math.max(largest, Math.abs(slope), Math.abs(array.grad[k]));
      }
    }
    for (const e of entries)
      e.wrong = Math.abs(e.given - e.slope) > TOLERANCE * largest + FLAT;
    const wrong = entries.filter((e) => e.wrong).length;
    return { name: array.name, cols: array.cols, total: array.value.length, entries, wrong, kinks };
  });
}

// The smallest set of known mistakes that gives just these gradients; null where none does.
// It is told the gradients and nothing else: not which switches are on.
export function causesOf(model, batch, grads) {
  const tape = forward(model, batch);
  const sets = Array.from({ length: 1 << MISTAKES.length }, (_, bits) =>
    MISTAKES.filter((_, k) => bits & (1 << k)));
  sets.sort((a, b) => a.length - b.length);
  const given = parameters(model, grads);
  for (const set of sets) {
    const made = parameters(model, backward(model, batch, tape, new Set(set)));
    if (made.every((array, n) => close(array.grad, given[n].grad))) return set;
  }
  return null;
}

function close(a, b) {
  let largest = 0, apart = 0;
  for (let k = 0; k < a.length; k++) {
    largest = Math.max(largest, Math.abs(a[k]), Math.abs(b[k]));
    apart = Math.max(apart, Math.abs(a[k] - b[k]));
  }
  return apart <= 1e-10 * largest;
}

// What the numbers say by themselves, in sentences
export function evidence(checks, grads, size) {
  const said = [];
  const wrong = checks.filter((c) => c.wrong);
  if (!wrong.length) return said;
  const ratios = wrong.flatMap((c) => c.entries.filter((e) => e.wrong && e.slope)
    .map((e) => e.given / e.slope));
  const [least, most] = [Math.min(...ratios), Math.max(...ratios)];
  if (ratios.length > 2 && most - least < 1e-3 * Math.abs(most) && Math.abs(most) > 1e-9)
    said.push(Math.abs(most * size - 1) < 1e-3
      ? tell("Each wrong number is {times} times its slope: that is 1/B, with B = {size}.",
        { times: short(most), size })
      : tell("Each wrong number is {times} times its slope.", { times: short(most) }));
  const right = checks.filter((c) => !c.wrong && c.entries.length).map((c) => c.name);
  const places = wrong.map((c) => c.name);
  said.push(right.length
    ? tell("Wrong: {arrays}. All others agree.", { arrays: places.join(", ") })
    : tell("Every array is wrong."));
  const table = wrong.find((c) => c.name === "embeddings.weight");
  if (table) said.push(rowsSaid(table, grads));
  return said;
}

function rowsSaid(table, grads) {
  const rows = new Map();
  for (const e of table.entries) {
    const row = Math.floor(e.k / table.cols);
    rows.set(row, rows.get(row) || e.wrong);
  }
  const repeated = [...rows].filter(([row]) => grads.uses[row] > 1);
  const bad = [...rows].filter(([, wrong]) => wrong).map(([row]) => row);
  const all = bad.length === repeated.length && repeated.every(([, wrong]) => wrong);
  return all
    ? tell("The wrong rows are just the {count} that the batch uses more than once.",
      { count: bad.length })
    : tell("{some} of {all} rows that were looked up are wrong.",
      { some: bad.length, all: rows.size });
}

function short(x) {
  return String(Number(x.toPrecision(4)));
}
