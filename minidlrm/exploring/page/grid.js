// A block of the picture: numbers as coloured cells, in a table that arrow keys walk through.
import { el, say, signed } from "./dom.js";
import { tell } from "./words.js";

const MOST_ROWS = 101, MOST_COLUMNS = 64; // of a block; the page says what is left out
const SCROLLS = 20; // rows of a block that scrolls

// spec: {key, title, rows, cols, row(i) -> header or null, has(i, j), value(i, j), grad(i, j),
//        name(i, j) -> words, digits: whether cells show their number, order, back, pick(i, j)}
export function makeGrid(spec, events) {
  const rows = Math.min(spec.rows, spec.most || MOST_ROWS);
  const cols = Math.min(spec.cols, spec.most || MOST_COLUMNS);
  const cells = [];
  const body = el("tbody");
  if (spec.heads) body.append(headRow(spec.heads));
  for (let i = 0; i < rows; i++) {
    const line = el("tr", { role: "row" });
    if (spec.row)
      line.append(el("th", { role: "rowheader", scope: "row" }, spec.row(i)));
    for (let j = 0; j < cols; j++) {
      if (spec.has && !spec.has(i, j)) {
        line.append(el("td", { class: "none", role: "gridcell", "aria-hidden": "true" }));
        continue;
      }
      const cell = { i, j, td: el("td", { role: "gridcell", tabindex: "-1" }), shown: null };
      cell.td.cell = cell;
      cells.push(cell);
      line.append(cell.td);
    }
    body.append(line);
  }
  if (spec.footer) body.append(footerRow(spec));
  cells[0].td.tabIndex = 0;
  const table = el("table", { role: "grid", "aria-label": spec.title }, body);
  const cut = rows < spec.rows || cols < spec.cols
    ? el("p", { class: "cut" }, tell("the first {some} of {all}", {
        some: `${rows} × ${cols}`, all: `${spec.rows} × ${spec.cols}` }))
    : null;
  const long = rows > SCROLLS ? "scroll" : "";
  const node = el("figure", { class: `block ${spec.css || ""}`, "data-block": spec.key },
    el("figcaption", {}, spec.title, spec.shape ? el("small", {}, ` ${spec.shape}`) : ""),
    el("div", { class: long }, table), cut);
  node.style.setProperty("--wave", spec.order);
  if (spec.size) node.style.setProperty("--w", `${spec.size}px`);
  if (spec.high) node.style.setProperty("--h", `${spec.high}px`);
  const grid = { spec, node, table, cells };
  listen(grid, events);
  return grid;
}

// What the columns are: [[words, columns], ...]
function headRow(heads) {
  return el("tr", { role: "row", class: "heads" }, ...heads.map(([text, colspan]) =>
    el("th", { role: "columnheader", scope: "colgroup", colspan }, text)));
}

function footerRow(spec) {
  return el("tr", { role: "row" },
    el("td", { class: "none", role: "gridcell", "aria-hidden": "true" }), ...spec.footer.map((text) => el("td", { class: "foot", role: "gridcell" }, text)));
}

function listen(grid, { look, leave, pick }) {
  const cellOf = (event) => event.target.closest && event.target.closest("td") &&
    event.target.closest("td").cell;
  const on = (name, f) => grid.table.addEventListener(name, (event) => {
    const cell = cellOf(event);
    if (cell) f(cell, event);
  });
  on("pointerover", (cell) => look(grid, cell));
  on("focusin", (cell) => { only(grid, cell); look(grid, cell); });
  on("click", (cell) => { only(grid, cell); cell.td.focus(); pick(grid, cell); });
  on("keydown", (cell, event) => {
    if (event.key === "Enter" || event.key === " ") pick(grid, cell);
    else if (!move(grid, cell, event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  });
  grid.table.addEventListener("pointerleave", leave);
  grid.table.addEventListener("focusout", leave);
}

// One cell of a block is in the order of Tab: the last that had the focus
function only(grid, cell) {
  for (const other of grid.cells) other.td.tabIndex = other === cell ? 0 : -1;
}

function move(grid, { i, j }, key) {
  const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[key];
  if (!by) return false;
  const next = grid.cells.find((c) => c.i === i + by[0] && c.j === j + by[1]);
  if (next) next.td.focus();
  return true;
}

// Show values, or gradients, and what is wrong; return the cells that changed
export function drawGrid(grid, { face, reached, wrong }) {
  const { spec } = grid;
  const of = face === "gradient" ? spec.grad : spec.value;
  let largest = 0;
  const numbers = grid.cells.map(({ i, j }) => of(i, j));
  for (const x of numbers) largest = Math.max(largest, Math.abs(x));
  if (face === "value" && spec.scale) largest = Math.max(largest, spec.scale);
  grid.node.classList.toggle("gradient", face === "gradient");
  grid.node.classList.toggle("unreached", !reached);
  return grid.cells.filter((cell, n) => {
    const x = numbers[n], td = cell.td, share = largest ? Math.abs(x) / largest : 0;
    td.className = x > 0 ? "plus" : x < 0 ? "minus" : "zero";
    td.style.setProperty("--share", `${(75 * Math.sqrt(share)).toFixed(1)}%`);
    if (spec.digits) td.textContent = say(x, 2);
    const bad = wrong && wrong(cell.i, cell.j);
    td.classList.toggle("wrong", Boolean(bad));
    const said = face === "gradient" ? tell("gradient {number}", { number: say(x) }) : say(x);
    td.setAttribute("aria-label", `${spec.name(cell.i, cell.j)}: ${said}` +
      (bad ? tell(", disagrees with the finite difference") : ""));
    const changed = cell.shown !== null && cell.shown !== x;
    cell.shown = x;
    return changed;
  });
}

// Animate cells once; one reading of the layout lets all begin anew
export function pulse(cells) {
  for (const { td } of cells) td.classList.remove("changed");
  if (cells.length) void cells[0].td.offsetWidth;
  for (const { td } of cells) td.classList.add("changed");
}

export function title(spec, i, j) {
  return tell("{name} = {number}, gradient {gradient}", { name: spec.name(i, j),
    number: say(spec.value(i, j), 4), gradient: signed(spec.grad(i, j)) });
}
