(function () {
  var root = document.getElementById("trace-id");
  var sections = root.querySelectorAll("section");
  var range = root.querySelector("input");
  var say = root.querySelector("[aria-live]");
  var now = 0;

  function show(k) {
    now = Math.max(0, Math.min(sections.length - 1, k));
    for (var i = 0; i < sections.length; i++) sections[i].hidden = i !== now;
    range.value = now;
    var section = sections[now];
    var lit = root.querySelectorAll(".lit-forward, .lit-backward");
    for (i = 0; i < lit.length; i++) lit[i].classList.remove("lit-forward", "lit-backward");
    var box = root.querySelector('[id="trace-id-' + section.dataset.box + '"]');
    if (box) box.classList.add("lit-" + section.dataset.phase);
    say.textContent = root.dataset.said
      .replace("{k}", now + 1)
      .replace("{count}", sections.length)
      .replace("{operation}", section.getAttribute("aria-label"));
  }

  root.querySelector(".previous").onclick = function () { show(now - 1); };
  root.querySelector(".next").onclick = function () { show(now + 1); };
  range.oninput = function () { show(+range.value); };
  root.addEventListener("keydown", function (e) {
    if (e.target === range) return; // the slider has arrow keys of its own
    if (e.key === "ArrowLeft") show(now - 1);
    if (e.key === "ArrowRight") show(now + 1);
  });
  show(0);
})();
