// The page: its state, and what happens when a reader touches something.
import { backward, forward, pairsOf, parameters, sgdStep, sigmoid } from "./arithmetic.js";
import { causesOf, check, evidence } from "./checking.js";
import { batchOf, copyOf, modelOf } from "./packed.js";
import { el, percent, say, still } from "./dom.js";
import { title } from "./grid.js";
import { makeStages } from "./stages.js";
import { drawArrows, drawPicture, makePicture } from "./picture.js";
import { makeExample, makeMistakes, makeTabs, makeTraining, makeWhatIf, unscaled } from "./tools.js";
import { speak, tell } from "./words.js";

const PACE = 1600; // milliseconds a stage when it plays
const MANY = 3000; // cells: the colours of more of them do not glide
const PATIENCE = 2e8; // products that a check, or a curve, may take: large models get fewer numbers

export function start(root, page) {
  speak(page.words);
  const s = { page, model: modelOf(page.model), batch: batchOf(page.batch), chosen: 0,
    faults: new Set(), lr: page.lr, playing: null };
  const first = copyOf(s.model);
  if (page.truth) s.truth = (b) => truthOf(s, b);
  compute(s);
  s.history = [s.tape.loss];
  s.steps = makeStages(s);
  s.stage = s.steps.ready;

  const look = (grid, cell) => showCell(view, s, grid, cell);
  const leave = () => clearCell(view);
  const pick = (grid, cell) => { choose(s, grid.spec, cell); drawAll(view, s, false); look(grid, cell); };
  const view = { root, picture: makePicture(s, { look, leave, pick }) };
  const draw = (animate, wave) => drawAll(view, s, animate, wave);
  const changed = (kind) => {
    const before = s.told;
    compute(s);
    if (kind !== "example") s.history = [s.tape.loss];
    anchor(s);
    if (s.stage < s.steps.ready) s.stage = s.steps.ready;
    draw(true, true);
    announce(view, before === s.told ? headline(s) : `${before} → ${headline(s)}`);
  };
  view.example = makeExample(s, changed);
  view.training = makeTraining(s, {
    step: (count) => { train(s, count); draw(true, true); announce(view, trainedWords(s)); },
    restart: () => {
      const from = parameters(first);
      parameters(s.model).forEach(({ value }, k) => value.set(from[k].value));
      changed("restart");
    },
  });
  view.mistakes = makeMistakes(s, () => {
    compute(s);
    anchor(s);
    s.stage = s.faults.size ? s.steps.stages.length - 1 : s.steps.ready;
    draw(true);
  });
  view.whatIf = makeWhatIf(s, {
    move: (value) => { s.what.array[s.what.k] = value; compute(s); draw(true); },
    back: () => { s.what.array[s.what.k] = s.what.before; compute(s); draw(true); },
  });
  view.bar = makeBar(s, () => draw(true), () => {
    train(s, 1);
    s.stage = 0;
    draw(true);
  });
  const spec = view.picture.grids["table-0"].spec;
  const line = rowOf(s);
  choose(s, spec, { i: line, j: 0 });
  build(view, s);
  const cells = Object.values(view.picture.grids).reduce((n, grid) => n + grid.cells.length, 0);
  view.calm = cells > MANY;
  root.classList.toggle("calm", view.calm);
  draw(false);
  watch(view, s);
  drawArrows(view.picture, s, !still());
}

function compute(s) {
  s.tape = forward(s.model, s.batch);
  s.grads = backward(s.model, s.batch, s.tape, s.faults);
  s.checks = null;
  if (s.faults.size) {
    const most = affordable(s) / (3 * parameters(s.model).length);
    s.checks = check(s.model, s.batch, s.grads, Math.min(400, Math.max(2, Math.floor(most))));
    s.causes = causesOf(s.model, s.batch, s.grads);
    s.said = evidence(s.checks, s.grads, s.batch.size);
  }
  s.told = headline(s);
}

// How often forward may run while a reader waits
function affordable(s) {
  const size = ["bottom", "top"].flatMap((part) => s.model[part])
    .reduce((n, layer) => n + layer.weight.data.length, s.tape.z.cols * s.tape.numVectors);
  return PATIENCE / (s.batch.size * size);
}

function headline(s) {
  const x = s.tape.logits[s.chosen];
  return s.model.loss === "bce" ? percent(sigmoid(x)) : say(x);
}

function rowOf(s) {
  const bag = s.chosen, k = s.batch.offsets[bag];
  return k < s.batch.offsets[bag + 1] ? s.batch.rows[k] - s.page.columns[0].start : 0;
}

// The truth behind the made rows: a sum of dot products of vectors that we chose
function truthOf(s, b) {
  const { bias, tables, dense, means, stds } = s.page.truth, K = s.page.dense.length;
  const raw = s.page.dense.map((column, k) =>
    (unscaled(column, s.batch.dense.data[b * K + k]) - means[k]) / stds[k]);
  const vectors = [dense.map((weights) => weights.reduce((sum, w, k) => sum + w * raw[k], 0))];
  s.page.columns.forEach((column, t) =>
    vectors.push(tables[t][s.batch.rows[s.batch.offsets[t * s.batch.size + b]] - column.start]));
  const dot = (u, v) => u.reduce((sum, x, d) => sum + x * v[d], 0);
  return sigmoid(pairsOf(vectors.length, false)
    .reduce((sum, [i, j]) => sum + dot(vectors[i], vectors[j]), bias));
}

function train(s, count) {
  for (let n = 0; n < count; n++) {
    sgdStep(s.model, s.grads, s.lr);
    compute(s);
    s.history.push(s.tape.loss);
  }
  anchor(s);
  s.stage = s.steps.ready;
}

function trainedWords(s) {
  return tell("{count} steps: loss {loss}, this example {told}",
    { count: s.history.length - 1, loss: say(s.tape.loss, 4), told: headline(s) });
}

// "What if": the number that is moved, where it was, and what the gradient promised there

function choose(s, spec, { i, j }) {
  if (!spec.array) return;
  const k = spec.place(i, j);
  if (s.what) s.what.array[s.what.k] = s.what.before;
  compute(s);
  s.what = { spec, i, j, k, name: spec.name(i, j), page: spec.array };
  anchor(s);
}

function anchor(s) {
  if (!s.what) return;
  const { what } = s, dense = what.page === "dense";
  if (dense) what.k = s.chosen * s.batch.dense.cols + what.j;
  const found = dense ? { value: s.batch.dense.data, grad: s.grads.bottomFlow[0].data }
    : parameters(s.model, s.grads).find((array) => array.name === what.page);
  what.array = found.value;
  what.before = found.value[what.k];
  what.slope = found.grad[what.k];
  what.loss = s.tape.loss;
  const reach = Math.max(1, 2 * Math.abs(what.before));
  const points = Math.min(41, Math.max(9, Math.floor(affordable(s))));
  what.curve = Array.from({ length: points }, (_, n) => {
    const value = what.before + reach * ((2 * n) / (points - 1) - 1);
    what.array[what.k] = value;
    return [value, forward(s.model, s.batch).loss];
  });
  what.array[what.k] = what.before;
}

// The bar with the stages

function makeBar(s, draw, take) {
  const last = () => s.steps.stages.length - 1;
  const go = (k) => {
    stop();
    if (k > last()) return take();
    s.stage = Math.max(0, k);
    draw();
  };
  const stop = () => { clearInterval(s.playing); s.playing = null; bar.draw(); };
  const toggle = () => {
    if (s.playing) return stop();
    if (s.stage >= s.steps.ready) s.stage = -1;
    const tick = () => {
      if (s.stage >= last()) return stop();
      s.stage += 1;
      draw();
    };
    s.playing = setInterval(tick, PACE);
    tick();
  };
  const button = (css, text, f) => el("button", { type: "button", class: css, onclick: f }, text);
  const play = button("play", tell("Play"), toggle);
  const range = el("input", { type: "range", min: 0, max: last(), "aria-label": tell("stage"),
    oninput: () => go(range.valueAsNumber) });
  const head = el("b"), words = el("span");
  const bar = {};
  bar.node = el("div", { class: "bar-of-stages" },
    el("div", { class: "buttons" }, button("previous", tell("Back"), () => go(s.stage - 1)), play,
      button("next", tell("Next"), () => go(s.stage + 1)), range),
    el("p", { class: "stage" }, head, words));
  bar.draw = () => {
    const stage = s.steps.stages[s.stage];
    if (!stage) return;
    play.textContent = s.playing ? tell("Pause") : tell("Play");
    range.value = s.stage;
    const at = { k: s.stage + 1, all: last() + 1, title: stage.title };
    range.setAttribute("aria-valuetext", tell("{k} of {all}: {title}", at));
    bar.node.dataset.phase = stage.phase;
    head.textContent = tell("{k} of {all}, {title}. ", at);
    words.textContent = stage.words();
  };
  return bar;
}

// Showing

function build(view, s) {
  view.tabs = makeTabs([[tell("What if"), view.whatIf.node],
    [tell("Train"), view.training.node], [tell("Break it"), view.mistakes.node]]);
  view.reading = el("p", { class: "reading" });
  view.live = el("p", { class: "live", "aria-live": "polite" });
  const notes = s.page.notes.map((text) => el("p", { class: "note" }, text));
  view.root.replaceChildren(
    el("div", { class: "whole" },
      el("div", { class: "left" }, view.example.node),
      el("div", { class: "main" }, view.picture.node,
        el("div", { class: "foot-bar" }, view.bar.node, view.reading), legend(), ...notes),
      el("div", { class: "tools" }, view.tabs.node)),
    view.live);
}

function legend() {
  const swatch = (css, text) => el("span", {}, el("i", { class: `swatch ${css}` }), text);
  return el("p", { class: "legend" }, swatch("plus", tell("positive")),
    swatch("minus", tell("negative")),
    swatch("plus gradient", tell("gradient, positive")),
    swatch("minus gradient", tell("gradient, negative")),
    swatch("wrong", tell("disagrees with the finite difference")));
}

function drawAll(view, s, animate, wave) {
  const moves = animate && !view.calm && !still();
  drawPicture(view.picture, s, moves);
  view.example.draw();
  view.training.draw();
  view.mistakes.draw();
  view.whatIf.draw();
  view.bar.draw();
  drawArrows(view.picture, s, moves, wave);
}

function announce(view, text) {
  clearTimeout(view.later);
  view.later = setTimeout(() => { view.live.textContent = text; }, 400);
}

function showCell(view, s, grid, { i, j }) {
  clearCell(view);
  const { spec } = grid, words = spec.words ? spec.words(i, j) : "";
  view.reading.textContent = `${title(spec, i, j)}. ${words}`;
  const vectors = view.picture.grids.vectors.table.rows;
  if (spec.pair) for (const v of spec.pair(i, j)) vectors[v].classList.add("partner");
  if (spec.pair) grid.cells.find((c) => c.i === i && c.j === j).td.classList.add("partner");
}

function clearCell(view) {
  view.reading.textContent = "";
  for (const node of view.picture.node.querySelectorAll(".partner"))
    node.classList.remove("partner");
}

// Arrows follow when blocks move
function watch(view, s) {
  const again = () => drawArrows(view.picture, s, false);
  new ResizeObserver(again).observe(view.picture.node);
  for (const node of view.picture.node.querySelectorAll(".scroll"))
    node.addEventListener("scroll", again, { passive: true });
}
