"use strict";
// A click on a heading sorts by its column: numbers by data-v, which is there where the text is not the value.
for (const table of document.querySelectorAll("table")) {
  const headings = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  if (body.rows.length < 2) continue;
  const key = (row, place) => {
    const cell = row.cells[place], text = cell.dataset.v ?? cell.textContent.trim();
    if (text === "inf") return Infinity;
    const number = Number(text);
    return text === "" ? NaN : Number.isNaN(number) ? text : number;
  };
  const before = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return Number.isNaN(a) ? 1 : Number.isNaN(b) ? -1 : a === b ? 0 : a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  headings.forEach((heading, place) => {
    heading.classList.add("sortable");
    heading.tabIndex = 0;
    const sort = () => {
      const up = heading.ariaSort !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.ariaSort = up ? "ascending" : "descending";
      const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * before(key(a, place), key(b, place)));
      body.append(...rows);
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}
// A film begins when its picture is clicked: it is a page of its own in a frame, kept as text until then.
for (const button of document.querySelectorAll("button.stage")) {
  button.addEventListener("click", () => {
    const frame = document.createElement("iframe");
    frame.title = button.title;
    frame.sandbox = "allow-scripts";
    frame.srcdoc = JSON.parse(document.getElementById(button.dataset.film).textContent);
    button.closest(".film").classList.add("playing");
    button.replaceWith(frame);
  });
}
