// The derivation pages: a step lights its lines of code, and the examples answer to what is pressed.
function light(program, step) {
  for (const line of program.querySelectorAll(".line")) {
    const steps = (line.dataset.steps || "").split(" ");
    line.classList.toggle("lit", steps.includes(step));
  }
}

function join(beside) {
  const program = beside.querySelector(".program");
  for (const item of beside.querySelectorAll(".derivation li")) {
    const badge = item.querySelector("a.step");
    if (!badge) continue;
    for (const kind of ["mouseenter", "focusin"]) {
      item.addEventListener(kind, () => light(program, badge.textContent));
    }
    for (const kind of ["mouseleave", "focusout"]) {
      item.addEventListener(kind, () => light(program, ""));
    }
  }
}

const near = (a, b) => Math.abs(a - b) <= 1e-5 * (1 + Math.abs(b));

function shown(number) {
  const text = String(+number.toFixed(2));
  return text === "-0" ? "0" : text.replace("-", "−");
}

function paint(cell, number, wrong, right) {
  cell.textContent = shown(number);
  const sign = Math.abs(number) < 0.005 ? "" : number > 0 ? "plus" : "minus";
  cell.className = [sign, wrong ? "wrong" : ""].join(" ").trim();
  cell.style.setProperty("--size", Math.min(Math.abs(number), 1).toFixed(2));
  cell.title = wrong ? `right: ${shown(right)}` : "";
}

function enliven(root) {
  const { size, backward } = JSON.parse(root.dataset.live);
  const buttons = [...root.querySelectorAll(".upstream button")];
  const cells = [...root.querySelectorAll("td[data-at]")];
  const which = root.querySelector("select.which");
  const dy = buttons.map((_, k) => (k === 0 ? 1 : 0));

  function answer(rows) {
    const sums = new Float64Array(size);
    rows.forEach(([places, numbers], k) => {
      if (dy[k]) places.forEach((at, n) => (sums[at] += dy[k] * numbers[n]));
    });
    return sums;
  }

  function draw() {
    const right = answer(backward[0]);
    const chosen = answer(backward[which ? +which.value : 0]);
    let wrong = 0;
    for (const cell of cells) {
      const at = +cell.dataset.at;
      const bad = !near(chosen[at], right[at]);
      wrong += bad;
      paint(cell, chosen[at], bad, right[at]);
    }
    buttons.forEach((button, k) => {
      button.textContent = shown(dy[k]);
      button.className = dy[k] > 0 ? "plus" : dy[k] < 0 ? "minus" : "";
    });
    const words = wrong ? `${wrong} of ${cells.length} numbers are wrong` : "every number is right";
    root.querySelector(".verdict").textContent = which && +which.value ? words : "";
  }

  buttons.forEach((button, k) =>
    button.addEventListener("click", () => {
      dy[k] = dy[k] === 1 ? -1 : dy[k] + 1;
      draw();
    })
  );
  root.querySelector(".ones").addEventListener("click", () => (dy.fill(1), draw()));
  root.querySelector(".clear").addEventListener("click", () => (dy.fill(0), draw()));
  if (which) which.addEventListener("change", draw);
  draw();
}

window.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".beside").forEach(join);
  document.querySelectorAll(".live[data-live]").forEach(enliven);
});
