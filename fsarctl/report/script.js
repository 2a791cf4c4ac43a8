"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  for (const heading of headings.filter((each) => "sort" in each.dataset)) {
    const button = document.createElement("button");
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      for (const each of headings) each.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => {
        const cell = row.cells[headings.indexOf(heading)];
        return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
      };
      const order = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
      const rows = [...table.tBodies[0].rows].sort((a, b) => (down ? -1 : 1) * order(value(a), value(b)));
      table.tBodies[0].append(...rows);
    });
  }
}
for (const each of document.querySelectorAll(".scroll")) {
  const cue = () => {
    each.parentElement.classList.toggle("less", each.scrollLeft > 1);
    each.parentElement.classList.toggle("more", each.scrollLeft + each.clientWidth < each.scrollWidth - 1);
  };
  each.addEventListener("scroll", cue, { passive: true });
  new ResizeObserver(cue).observe(each);
}
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("details:not(.query, .inner)")) each.open = true;
});
const open = () => {
  const target = document.getElementById(location.hash.slice(1));
  for (let each = target; each; each = each.parentElement) if (each.tagName === "DETAILS") each.open = true;
};
addEventListener("hashchange", open);
open();
