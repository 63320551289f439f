// pandas leaves cells of a table's head empty, and writes the name of the index on a line
// of its own. A header without text tells a screen reader nothing, and an eye little.
document.addEventListener("DOMContentLoaded", () => {
  for (const head of document.querySelectorAll(".cell_output table thead")) {
    foldNameOfIndex(head);
    for (const cell of head.querySelectorAll("th")) {
      if (isEmpty(cell)) replaceByPlainCell(cell);
    }
  }
  // A number and its deviation stay on one line.
  for (const cell of document.querySelectorAll(".cell_output td")) {
    cell.classList.toggle("number", /^[-+−–±≈\d.,%\s]+$/.test(cell.textContent));
  }
  markBoxesThatScroll();
});

// The theme marks them after the window's size has changed, and was seen to leave one out
// on a busy machine: without a shadow, and passed by by the Tab key.
function markBoxesThatScroll() {
  const observer = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    }
  });
  const boxes = "pre, .cell_output > .output, .pst-scrollable-table-container";
  for (const box of document.querySelectorAll(boxes)) observer.observe(box);
}

function isEmpty(cell) {
  return cell.textContent.trim() === "";
}

// The last line joins the one above it where the two fill different cells.
function foldNameOfIndex(head) {
  const [above, last] = [...head.rows].slice(-2);
  if (!last || above.cells.length !== last.cells.length) return;
  const pairs = [...above.cells].map((cell, column) => [cell, last.cells[column]]);
  if (pairs.some(([cell, below]) => !isEmpty(cell) && !isEmpty(below))) return;
  for (const [cell, below] of pairs) {
    if (isEmpty(cell)) cell.replaceWith(below);
  }
  last.remove();
}

function replaceByPlainCell(header) {
  const cell = document.createElement("td");
  for (const { name, value } of header.attributes) cell.setAttribute(name, value);
  header.replaceWith(cell);
}
