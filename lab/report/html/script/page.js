// The page as a whole: from the address to what is shown.

const TABLES = MATRIX.scenarios.map((_, place) => new Table(place));
const NOTHING = element("p", { class: "notice", hidden: true, role: "status" }, "No cell fits.");
const DEFAULT_VIEW = window.matchMedia("(max-width: 48rem)").matches ? "era" : "version";
const MATCHES = new Uint8Array(CELLS.length);
let shownFilter = null;
let openedCell = null;

function showTables(state) {
  const { cell, ...filter } = state;
  const key = stateFragment({ ...filter, cell: null });
  if (key === shownFilter) return; // only a cell was opened or closed
  shownFilter = key;
  CHOICES.forEach((update) => update(state));
  VIEW.value = state.view ?? DEFAULT_VIEW;
  if (document.activeElement !== QUERY || QUERY.value.trim() !== state.q.trim()) QUERY.value = state.q;
  let fits;
  try {
    fits = compileState(state);
    for (let number = 0; number < CELLS.length; number++) MATCHES[number] = fits(number) ? 1 : 0;
    FAULT.textContent = "";
    QUERY.removeAttribute("aria-invalid");
  } catch (fault) {
    if (!(fault instanceof QueryError)) throw fault;
    FAULT.textContent = fault.message;
    QUERY.setAttribute("aria-invalid", "true");
    if (TABLES.some((table) => table.rows)) return; // what was shown stays until the query can be read
    MATCHES.fill(1);
  }
  const plain = stateFragment({ ...emptyState(), view: state.view }) === key;
  TABLES.forEach((table) => table.show(MATCHES, VIEW.value, plain));
  NOTHING.hidden = TABLES.some((table) => !table.section.hidden);
}

function showDialog({ cell }) {
  if (cell !== null && cell !== openedCell) {
    showCell(cell);
  } else if (cell === null && DIALOG.open) {
    DIALOG.close();
    const number = NUMBERS.get(openedCell);
    if (number !== undefined) TABLES[CELLS[number].table].focusCell(number);
  }
  openedCell = cell;
}

// Links of the page change its state, and keep what is filtered.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const fragment = link.getAttribute("href").slice(1);
  if (!fragment.includes("=")) {
    const target = document.getElementById(fragment);
    target?.scrollIntoView();
    target?.setAttribute("tabindex", "-1");
    target?.focus({ preventScroll: true });
    return;
  }
  changeState((state) => { state.cell = new URLSearchParams(fragment).get("cell"); }, { replace: DIALOG.open });
});

LISTENERS.push(showTables, showDialog);
window.addEventListener("popstate", announce);
buildFilters(document.getElementById("filters"));
document.getElementById("tables").append(NOTHING, ...TABLES.map((table) => table.section));
announce();
