// The claims, by section and by verdict. Without this script the menus stay hidden, and
// all rows are shown.
document.addEventListener("DOMContentLoaded", () => {
  const filter = document.querySelector(".claims-filter");
  const table = document.getElementById("claims");
  if (!filter || !table) return;
  const [section, outcome] = filter.querySelectorAll("select");

  function show() {
    let shown = 0;
    let all = 0;
    for (const body of table.tBodies) {
      const inSection = !section.value || body.dataset.section === section.value;
      let here = 0;
      for (const row of body.querySelectorAll("tr[data-outcome]")) {
        const isWanted = !outcome.value || row.dataset.outcome === outcome.value;
        row.hidden = !(inSection && isWanted);
        here += row.hidden ? 0 : 1;
        all += 1;
      }
      body.hidden = here === 0;
      shown += here;
    }
    filter.querySelector("output").textContent = `${shown} of ${all} claims`;
  }

  // A link to a claim shows it, whatever is filtered.
  function showTarget() {
    const row = document.getElementById(location.hash.slice(1));
    if (!row?.hidden || !table.contains(row)) return;
    section.value = outcome.value = "";
    show();
    row.scrollIntoView();
  }

  filter.hidden = false;
  filter.addEventListener("change", show);
  window.addEventListener("hashchange", showTarget);
  show();
});
