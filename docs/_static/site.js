// What the theme leaves unsaid: names for the arrows of its menus, and keys for what scrolls.
function speak() {
  for (const summary of document.querySelectorAll("li > details > summary")) {
    const link = summary.closest("li").querySelector("a");
    const name = link ? link.textContent.trim() : "";
    const words = Documentation.gettext("Pages below {name}").replace("{name}", name);
    summary.setAttribute("aria-label", words);
  }
  for (const box of document.querySelectorAll(".bd-article *")) {
    const scrolls = ["auto", "scroll"].includes(getComputedStyle(box).overflowX);
    if (scrolls && box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
}
window.addEventListener("load", speak);
